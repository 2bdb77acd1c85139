//! The bucket → an environment's dags directory, and then: has Airflow read it?
//!
//! Promise: the directory holds exactly the current objects below the DAG path, written whole (temp and rename);
//! a key that cannot be a path is reported and never written.
//! Not here: the project's folder (`mirror`); starting Airflow (`environment`).
