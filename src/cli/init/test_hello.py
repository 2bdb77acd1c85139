"""Tests of the DAGs. Run them:  windtunnel test"""


def test_every_dag_imports(dagbag):
    assert dagbag.import_errors == {}


def test_hello_greets_the_world(run_dag):
    run = run_dag("hello")
    assert run.succeeded, run.states
    assert run.xcom("say").endswith(", world!")
