"""A run's model in MLflow's registry."""

from scaling.errors import UserError, first_line
from scaling.tracking.sent import Sent
from scaling.tracking.store import client, store_errors
from scaling.trained import Trained


def register_model(trained: Trained, name: str) -> str:
    """Make the run's logged model a version of a registered model; returns the version.

    Raises:
        UserError: the store has no model of this run, or not of this checkpoint, or fails.
    """
    from mlflow.exceptions import MlflowException

    if trained.run is None:
        raise UserError(f"{trained.label} is an exported folder; register the run it came from.")
    sent, record = Sent.read(trained.run), trained.run.read_record()
    lacking = UserError(
        f"The store lacks the model of {trained.label} or its latest state;"
        " `tinyscale doctor` sends it."
    )
    if sent.model_id is None or not sent.is_whole(record):
        raise lacking
    try:
        return _register(trained, name, record.uri, sent.model_id)
    except store_errors() as error:
        if isinstance(error, MlflowException) and error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise lacking from None
        why = first_line(error)[:200]
        raise UserError(f"{name!r} cannot be registered: {why}") from None


def _register(trained: Trained, name: str, uri: str, model_id: str) -> str:
    from mlflow.exceptions import MlflowException

    store = client(uri)
    logged = store.get_logged_model(model_id)
    if logged.params.get("step") != str(trained.step):
        raise UserError(
            f"The store has the model of step {logged.params.get('step')}, the best one, not of"
            f" step {trained.step}; export that one to a folder instead."
        )
    try:
        store.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = store.create_model_version(
        name,
        source=f"models:/{model_id}",
        run_id=trained.run_id,
        model_id=model_id,
        tags={"tinyscale.run": trained.label},
    )
    return str(version.version)
