"""`tinyscale ui`."""

import os
import sys

import click


@click.command(short_help="Open MLflow's UI on the store in use.")
@click.option("--port", default=5000, show_default=True, help="Where the UI is served.")
@click.option("--host", default="127.0.0.1", show_default=True, help="On which address.")
@click.option(
    "--store", help="The store; else MLFLOW_TRACKING_URI, else sqlite:///mlflow.db here."
)
def ui(port: int, host: str, store: str | None) -> None:
    """Serve MLflow's UI on the store in use, until stopped with Ctrl-C."""
    from scaling.tracking.address import tracking_uri, without_password

    uri = tracking_uri(store)
    shown = without_password(uri)
    if uri.startswith(("http://", "https://")):
        click.echo(f"The store {shown} is a server with its own UI: open it in a browser.")
        return
    # By itself MLflow's UI opens on what chat applications log, not on training runs.
    page = f"http://{host}:{port}/#/experiments?workflowType=machine_learning"
    click.echo(f"{page} shows {shown}; Ctrl-C ends it.", err=True)
    # The server's own job runner is for chat evaluations: eight processes that no run here needs.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    words = ["-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", host, "--port", str(port)]
    os.execv(sys.executable, [sys.executable, *words])
