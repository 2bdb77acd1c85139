// What GetEnvironment says, the way AWS's console lays it out, and how the launch went.

import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import Modal from "@cloudscape-design/components/modal";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import { useState } from "react";
import { useLocation } from "wouter";
import { about, type PageProps } from "../app";
import { mwaa } from "../api";
import { duration, moment } from "../format";
import { useLive } from "../live";
import { Copy, Nothing, Status, To, Trouble } from "../parts/bits";
import { attempt } from "../parts/notices";
import { OpenAirflow } from "../parts/open-airflow";
import { Stage } from "../parts/stage";
import { Waiting } from "../parts/waiting";
import type { MwaaEnvironment } from "../wire";

export default function Details({ name, overview }: PageProps) {
  const [, go] = useLocation();
  const environment = useLive((signal) => mwaa.get(name, signal), [name], about);
  const [deleting, setDeleting] = useState(false);
  const status = overview?.environments.find((one) => one.name === name);
  const it = environment.data;
  if (environment.error && !it) return <Trouble error={environment.error} what={`Environment ${name} cannot be shown`} />;
  if (!it) return <Waiting />;
  const error = it.LastUpdate?.Error;
  const usable = ["AVAILABLE", "UPDATE_FAILED"].includes(it.Status);
  return (
    <SpaceBetween size="l">
      <Header
        variant="h1"
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Button onClick={() => setDeleting(true)}>Delete</Button>
            <Button onClick={() => go(`/environments/${encodeURIComponent(name)}/edit`)}>Edit</Button>
            <OpenAirflow name={name} usable={usable} primary />
          </SpaceBetween>
        }
      >
        {name}
      </Header>
      {error && (
        <Alert type="error" header={it.Status === "CREATE_FAILED" ? "The environment could not be created" : "The last update failed; what ran before goes on"}>
          {error.ErrorMessage} <Box color="inherit" fontSize="body-s">({error.ErrorCode})</Box>
        </Alert>
      )}
      <Container header={<Header variant="h2">Details</Header>}>
        <KeyValuePairs
          columns={3}
          items={[
            { label: "Status", value: <><Status of={it.Status} />{status && <Stage launch={status.launch} status={it.Status} />}</> },
            { label: "Airflow version", value: it.AirflowVersion },
            { label: "Airflow UI", value: it.WebserverUrl ? <Copy text={`https://${it.WebserverUrl}`} /> : "–" },
            { label: "ARN", value: <Copy text={it.Arn} /> },
            { label: "Created", value: moment(it.CreatedAt * 1000) },
            { label: "Last update", value: it.LastUpdate ? `${it.LastUpdate.Status ?? ""} ${it.LastUpdate.CreatedAt ? moment(it.LastUpdate.CreatedAt * 1000) : ""}` : "–" },
            { label: "As a command", value: <Copy text={`aws mwaa get-environment --name ${name}`} /> },
            { label: "Maintenance window", value: it.WeeklyMaintenanceWindowStart ?? "–" },
            { label: "Web server access", value: it.WebserverAccessMode ?? "–" },
          ]}
        />
      </Container>
      <Container header={<Header variant="h2">DAG code in Amazon S3</Header>}>
        <KeyValuePairs columns={2} items={code(it)} />
      </Container>
      <Container header={<Header variant="h2">Environment class and workers</Header>}>
        <KeyValuePairs
          columns={4}
          items={[
            { label: "Class", value: it.EnvironmentClass },
            { label: "Workers", value: `${it.MinWorkers} to ${it.MaxWorkers}` },
            { label: "Schedulers", value: String(it.Schedulers) },
            { label: "Web servers", value: `${it.MinWebservers ?? 2} to ${it.MaxWebservers ?? 2}` },
            { label: "Execution role", value: it.ExecutionRoleArn },
            { label: "Celery queue", value: it.CeleryExecutorQueue ?? "–" },
            { label: "Subnets", value: it.NetworkConfiguration?.SubnetIds?.join(", ") || "–" },
            { label: "Security groups", value: it.NetworkConfiguration?.SecurityGroupIds?.join(", ") || "–" },
          ]}
        />
      </Container>
      {status && status.launch.length > 0 && (
        <Table
          header={<Header variant="h2" description="Of the newest launch since windtunnel started.">Stages</Header>}
          items={status.launch}
          trackBy="stage"
          columnDefinitions={[
            { id: "stage", header: "Stage", cell: (step) => step.stage, isRowHeader: true },
            { id: "took", header: "Took", cell: (step) => (step.took_ms === null ? <Status of="running" /> : `${duration(step.took_ms)}${step.cached ? ", cached" : ""}`) },
            { id: "said", header: "Last words", cell: (step) => step.lines.at(-1) ?? "" },
          ]}
        />
      )}
      {status && (
        <Table
          header={<Header variant="h2" counter={`(${status.components.length})`}>Processes</Header>}
          items={status.components}
          empty={<Nothing title="Nothing runs" />}
          columnDefinitions={[
            { id: "name", header: "Component", cell: (one) => one.name, isRowHeader: true },
            { id: "pid", header: "Process", cell: (one) => one.pid ?? "–" },
            { id: "restarts", header: "Started again", cell: (one) => one.restarts },
            { id: "log", header: "Log", cell: (one) => <Copy text={one.log} label={one.log.split("/").pop() ?? one.log} /> },
          ]}
        />
      )}
      <Table
        header={<Header variant="h2">Airflow configuration options</Header>}
        items={Object.entries(it.AirflowConfigurationOptions ?? {})}
        empty={<Nothing title="No options">Airflow runs with MWAA's defaults.</Nothing>}
        columnDefinitions={[
          { id: "name", header: "Option", cell: ([option]) => option, isRowHeader: true },
          { id: "value", header: "Value", cell: ([, value]) => value },
        ]}
      />
      <Table
        header={<Header variant="h2">Logging</Header>}
        items={Object.entries(it.LoggingConfiguration ?? {})}
        columnDefinitions={[
          { id: "module", header: "Module", cell: ([module]) => module.replace(/Logs$/, ""), isRowHeader: true },
          { id: "enabled", header: "To CloudWatch Logs", cell: ([, one]) => (one.Enabled ? "on" : "off") },
          { id: "level", header: "Level", cell: ([, one]) => one.LogLevel ?? "–" },
        ]}
      />
      <Delete name={name} visible={deleting} close={() => setDeleting(false)} deleted={() => go("/")} />
    </SpaceBetween>
  );
}

function code(it: MwaaEnvironment) {
  const bucket = it.SourceBucketArn.split(":").pop() ?? "";
  const at = (path?: string, version?: string) =>
    path ? <><To href={`/s3/${bucket}?key=${encodeURIComponent(path)}`}>{path}</To><Box color="text-body-secondary" fontSize="body-s">version {version ?? "current"}</Box></> : "–";
  return [
    { label: "Bucket", value: <To href={`/s3/${bucket}`}>{`s3://${bucket}`}</To> },
    { label: "DAGs folder", value: <To href={`/s3/${bucket}?prefix=${encodeURIComponent(`${it.DagS3Path}/`)}`}>{`s3://${bucket}/${it.DagS3Path}`}</To> },
    { label: "Plugins file", value: at(it.PluginsS3Path, it.PluginsS3ObjectVersion) },
    { label: "Requirements file", value: at(it.RequirementsS3Path, it.RequirementsS3ObjectVersion) },
    { label: "Startup script", value: at(it.StartupScriptS3Path, it.StartupScriptS3ObjectVersion) },
  ];
}

function Delete({ name, visible, close, deleted }: { name: string; visible: boolean; close: () => void; deleted: () => void }) {
  const [typed, setTyped] = useState("");
  const remove = async () => {
    close();
    if (await attempt(`${name} is being deleted`, () => mwaa.remove(name))) deleted();
  };
  return (
    <Modal
      visible={visible}
      onDismiss={close}
      header={`Delete ${name}?`}
      closeAriaLabel="Close"
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={close}>Cancel</Button>
            <Button variant="primary" disabled={typed !== name} onClick={() => void remove()}>Delete</Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        <Alert type="warning">Airflow's database, its variables, connections and history of runs go. Bucket and logs stay.</Alert>
        <FormField label={`To confirm, type the name: ${name}`}>
          <Input value={typed} onChange={({ detail }) => setTyped(detail.value)} placeholder={name} />
        </FormField>
      </SpaceBetween>
    </Modal>
  );
}
