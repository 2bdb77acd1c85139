#!/bin/sh
# Runs before Airflow starts; what it exports, every component and every task sees.
export HELLO_GREETING="Hello"
