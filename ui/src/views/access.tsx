// Tokens, roles, and sample code with this environment's names filled in.

import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import ColumnLayout from "@cloudscape-design/components/column-layout";
import Container from "@cloudscape-design/components/container";
import CopyToClipboard from "@cloudscape-design/components/copy-to-clipboard";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Table from "@cloudscape-design/components/table";
import Tabs from "@cloudscape-design/components/tabs";
import { useState } from "react";
import type { PageProps } from "../app";
import { Airflow } from "../airflow";
import { mwaa } from "../api";
import { useNow } from "../live";
import { Copy, Plain } from "../parts/bits";
import { failed } from "../parts/notices";
import { OpenAirflow, ROLES } from "../parts/open-airflow";
import { Waiting } from "../parts/waiting";
import type { Overview } from "../wire";

const LIFE_MS = 60_000;

export default function Access({ name, overview }: PageProps) {
  const status = overview?.environments.find((one) => one.name === name);
  if (!overview || !status) return <Waiting />;
  const usable = ["AVAILABLE", "UPDATE_FAILED"].includes(status.status);
  return (
    <SpaceBetween size="l">
      <Header variant="h1" description="Who may come in, and how." actions={<OpenAirflow name={name} usable={usable} primary />}>Access</Header>
      {!usable && <Alert type="info">The environment does not run, so there are no tokens for it.</Alert>}
      <ColumnLayout columns={2}>
        <Token title="CLI token" words="Runs Airflow commands at /aws_mwaa/cli for 60 seconds." usable={usable} make={async () => { const made = await mwaa.cliToken(name); return { token: made.CliToken, host: made.WebServerHostname }; }} />
        <Token title="Web login token" words="Buys one web session of 12 hours within 60 seconds." usable={usable} make={async () => { const made = await mwaa.webToken(name); return { token: made.WebToken, host: made.WebServerHostname, who: made.AirflowIdentity }; }} />
      </ColumnLayout>
      <Roles name={name} version={status.airflow_version} usable={usable} />
      <Samples name={name} overview={overview} />
    </SpaceBetween>
  );
}

interface Made {
  token: string;
  host: string;
  who?: string | undefined;
  at: number;
}

function Token({ title, words, usable, make }: { title: string; words: string; usable: boolean; make: () => Promise<Omit<Made, "at">> }) {
  const [made, setMade] = useState<Made | null>(null);
  const now = useNow(made !== null);
  const left = made ? Math.max(0, Math.ceil((made.at + LIFE_MS - now) / 1000)) : 0;
  const go = () => make().then((token) => setMade({ ...token, at: Date.now() }), failed);
  return (
    <Container header={<Header variant="h2" description={words} actions={<Button disabled={!usable} onClick={() => void go()}>Make a {title.toLowerCase()}</Button>}>{title}</Header>}>
      {made ? (
        <SpaceBetween size="xs">
          <StatusIndicator type={left > 0 ? "success" : "stopped"}>{left > 0 ? `good for ${left} s` : "expired"}</StatusIndicator>
          <Box>Token <Copy text={made.token} secret /></Box>
          <Box>Web server <Copy text={made.host} /></Box>
          {made.who && <Box>Airflow user {made.who}</Box>}
        </SpaceBetween>
      ) : <Box color="text-body-secondary">None made yet.</Box>}
    </Container>
  );
}

/** Harmless requests that tell what a role may do. What changes something is asked of a DAG that does not exist. */
const PROBES: { what: string; method: string; path: string; body?: unknown }[] = [
  { what: "See DAGs", method: "GET", path: "dags?limit=1" },
  { what: "Trigger DAGs", method: "POST", path: "dags/windtunnel-no-such-dag/dagRuns", body: { conf: {}, logical_date: null } },
  { what: "See variables", method: "GET", path: "variables?limit=1" },
  { what: "See connections", method: "GET", path: "connections?limit=1" },
  { what: "See the audit log", method: "GET", path: "eventLogs?limit=1" },
  { what: "See import errors", method: "GET", path: "importErrors?limit=1" },
];

function Roles({ name, version, usable }: { name: string; version: string; usable: boolean }) {
  const [found, setFound] = useState<Map<string, number>>(new Map());
  const [busy, setBusy] = useState(false);
  const ask = async () => {
    setBusy(true);
    for (const role of ROLES) {
      const airflow = new Airflow(name, version, role);
      const answers = await Promise.all(PROBES.map((probe) => airflow.probe(probe.method, probe.path, probe.method === "POST" && !version.startsWith("3") ? { conf: {} } : probe.body)));
      setFound((before) => new Map([...before, ...PROBES.map((probe, at) => [`${role} ${probe.what}`, answers[at] ?? 0] as const)]));
    }
    setBusy(false);
  };
  const told = (role: string, what: string) => {
    const status = found.get(`${role} ${what}`);
    if (status === undefined) return <Box color="text-status-inactive">not asked</Box>;
    const may = status !== 401 && status !== 403 && status !== 0;
    return <StatusIndicator type={may ? "success" : "error"}>{may ? "yes" : "no"}</StatusIndicator>;
  };
  return (
    <Table
      header={<Header variant="h2" description="Airflow itself is asked as each role; nothing is changed." actions={<Button loading={busy} disabled={!usable} onClick={() => void ask()}>Ask Airflow</Button>}>What each role may do</Header>}
      items={PROBES}
      columnDefinitions={[
        { id: "what", header: "Action", cell: (probe) => probe.what, isRowHeader: true },
        ...ROLES.map((role) => ({ id: role, header: role, cell: (probe: (typeof PROBES)[number]) => told(role, probe.what) })),
      ]}
      footer={<Box fontSize="body-s" color="text-body-secondary">An identity's role stands in windtunnel.toml: airflow_role.</Box>}
    />
  );
}

function Samples({ name, overview }: { name: string; overview: Overview }) {
  const curl = `eval "$(windtunnel env)"
token=$(aws mwaa create-cli-token --name ${name})
curl --silent --request POST "https://$(jq -r .WebServerHostname <<<"$token")/aws_mwaa/cli" \\
  --header "Authorization: Bearer $(jq -r .CliToken <<<"$token")" \\
  --header "Content-Type: text/plain" \\
  --data-raw "dags list" | jq -r .stdout | base64 --decode`;
  const python = `import base64

import boto3
import requests

token = boto3.client("mwaa").create_cli_token(Name="${name}")
answer = requests.post(
    f"https://{token['WebServerHostname']}/aws_mwaa/cli",
    headers={"Authorization": f"Bearer {token['CliToken']}", "Content-Type": "text/plain"},
    data="dags list",
)
print(base64.b64decode(answer.json()["stdout"]).decode())`;
  const lambda = `import base64
import http.client
import json

import boto3

mwaa = boto3.client("mwaa")


def lambda_handler(event, context):
    token = mwaa.create_cli_token(Name="${name}")
    connection = http.client.HTTPSConnection(token["WebServerHostname"])
    headers = {"Authorization": "Bearer " + token["CliToken"], "Content-Type": "text/plain"}
    connection.request("POST", "/aws_mwaa/cli", "dags trigger " + event["dag"], headers)
    answer = json.loads(connection.getresponse().read())
    return base64.b64decode(answer["stdout"]).decode()`;
  const exports = `eval "$(windtunnel env)"      # or by hand:
export AWS_ENDPOINT_URL=${overview.aws_endpoint}
export AWS_DISABLE_HOST_PREFIX_INJECTION=true
aws mwaa get-environment --name ${name}`;
  const one = (id: string, label: string, text: string) => ({
    id,
    label,
    content: (
      <SpaceBetween size="xs">
        <CopyToClipboard copyButtonText="Copy" textToCopy={text} copySuccessText="Copied" copyErrorText="Not copied" />
        <Plain text={text} label={`${label} sample`} />
      </SpaceBetween>
    ),
  });
  return (
    <Container header={<Header variant="h2" description="They need no change to run against MWAA.">Sample code</Header>}>
      <Tabs ariaLabel="Samples" tabs={[one("shell", "Shell", exports), one("curl", "curl", curl), one("python", "Python", python), one("lambda", "Lambda", lambda)]} />
    </Container>
  );
}
