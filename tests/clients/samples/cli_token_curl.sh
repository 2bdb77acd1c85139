#!/usr/bin/env bash
# Usage: cli_token_curl.sh ENVIRONMENT COMMAND…
# The user guide's curl sample: a token by the AWS CLI, one POST, two base64 members. Needs jq, as the guide's does.
set -euo pipefail
name=$1
shift
token=$(aws mwaa create-cli-token --name "$name")
host=$(jq -r .WebServerHostname <<<"$token")
answer=$(curl --silent --show-error --fail --request POST "https://$host/aws_mwaa/cli" \
  --header "Authorization: Bearer $(jq -r .CliToken <<<"$token")" \
  --header "Content-Type: text/plain" \
  --data-raw "$*")
echo "Output:"
jq -r .stdout <<<"$answer" | base64 --decode
echo "Errors:"
jq -r .stderr <<<"$answer" | base64 --decode
