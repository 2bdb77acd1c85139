#!/usr/bin/env bash
# Usage: web_login.sh ENVIRONMENT
# The user guide's sample of a web-login token: prints the address that opens Airflow's UI. Needs jq, as the guide's does.
set -euo pipefail
token=$(aws mwaa create-web-login-token --name "$1")
host=$(jq -r .WebServerHostname <<<"$token")
echo "https://$host/aws_mwaa/aws-console-sso?login=true#$(jq -r .WebToken <<<"$token")"
