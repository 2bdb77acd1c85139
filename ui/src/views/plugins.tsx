// What Airflow found in the plugins.

import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import { useMemo } from "react";
import { about, type PageProps } from "../app";
import { Airflow } from "../airflow";
import { mwaa } from "../api";
import { useLive } from "../live";
import { Nothing, To } from "../parts/bits";
import { Waiting } from "../parts/waiting";

const text = (value: unknown) => (typeof value === "string" ? value : typeof value === "object" && value !== null ? String((value as { name?: unknown }).name ?? JSON.stringify(value)) : String(value));
const SKIP = ["name", "source"];

export default function Plugins({ name, overview }: PageProps) {
  const version = overview?.environments.find((one) => one.name === name)?.airflow_version ?? "2";
  const airflow = useMemo(() => new Airflow(name, version), [name, version]);
  const it = useLive((signal) => mwaa.get(name, signal), [name], about);
  const plugins = useLive((signal) => airflow.plugins(signal), [name, version], about);
  if (plugins.loading) return <Waiting />;
  const bucket = it.data?.SourceBucketArn.split(":").pop() ?? "";
  const path = it.data?.PluginsS3Path;
  return (
    <SpaceBetween size="l">
      {plugins.error && <Alert type="info">Airflow does not answer: {plugins.error.message}</Alert>}
      <Table
        variant="container"
        items={plugins.data ?? []}
        header={<Header variant="h1" counter={`(${plugins.data?.length ?? 0})`} description={path ? <>From <To href={`/s3/${bucket}?key=${encodeURIComponent(path)}`}>{path}</To></> : "The project has no plugins folder."}>Plugins</Header>}
        empty={<Nothing title="Airflow found no plugin">A module in plugins/ with a subclass of AirflowPlugin is one; other modules there can be imported all the same.</Nothing>}
        columnDefinitions={[
          { id: "name", header: "Plugin", cell: (one) => text(one.name), isRowHeader: true },
          { id: "source", header: "Source", cell: (one) => text(one.source ?? "–") },
          { id: "parts", header: "Brings", cell: (one) => Object.entries(one).filter(([key, value]) => !SKIP.includes(key) && Array.isArray(value) && value.length > 0).map(([key, value]) => <Box key={key} fontSize="body-s"><b>{key.replace(/_/g, " ")}</b>: {(value as unknown[]).map(text).join(", ")}</Box>) },
        ]}
      />
    </SpaceBetween>
  );
}
