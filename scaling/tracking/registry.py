"""A run's model in MLflow's registry."""

from scaling.errors import UserError
from scaling.tracking.sent import Sent
from scaling.tracking.store import client
from scaling.trained import Trained


def register_model(trained: Trained, name: str) -> str:
    """Make the run's logged model a version of a registered model; returns the version.

    Raises:
        UserError: the store has no model of this run, or not of this checkpoint.
    """
    from mlflow.exceptions import MlflowException

    if trained.run is None:
        raise UserError(f"{trained.label} is an exported folder; register the run it came from.")
    sent, record = Sent.read(trained.run), trained.run.read_record()
    if sent.model_id is None or not sent.model:
        raise UserError(
            f"The store has no model of {trained.label} yet; `tinyscale doctor` sends it."
        )
    store = client(record.uri)
    logged = store.get_logged_model(sent.model_id)
    if logged.params.get("step") != str(trained.step):
        raise UserError(
            f"The store has the model of step {logged.params.get('step')}, the best one, not of"
            f" step {trained.step}; export that one to a folder instead."
        )
    try:
        store.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise UserError(f"{name!r} cannot be registered: {error.message}") from None
    version = store.create_model_version(
        name,
        source=f"models:/{sent.model_id}",
        run_id=sent.run_id,
        model_id=sent.model_id,
        tags={"tinyscale.run": trained.label},
    )
    return str(version.version)
