// The DAGs of an environment: what does not import and why, what ran, pause and trigger. `/dags/ID` shows one.

import Alert from "@cloudscape-design/components/alert";
import Badge from "@cloudscape-design/components/badge";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import ExpandableSection from "@cloudscape-design/components/expandable-section";
import Header from "@cloudscape-design/components/header";
import Pagination from "@cloudscape-design/components/pagination";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import TextFilter from "@cloudscape-design/components/text-filter";
import Toggle from "@cloudscape-design/components/toggle";
import { useMemo, useState } from "react";
import { about, type PageProps } from "../app";
import { Airflow, type Dag } from "../airflow";
import { get, objectText } from "../api";
import { plural } from "../format";
import { useLive } from "../live";
import { Nothing, Plain, Source, To, Trouble } from "../parts/bits";
import { failed } from "../parts/notices";
import { Bars } from "../parts/bars";
import { Trigger } from "../parts/trigger";
import { Waiting } from "../parts/waiting";
import type { DagFile } from "../wire";
import { OneDag } from "./dag";

const PAGE = 25;

export default function Dags(props: PageProps) {
  const version = props.overview?.environments.find((one) => one.name === props.name)?.airflow_version;
  if (!version) return <Waiting />;
  const [dag, run] = props.rest ? props.rest.split("/") : [];
  if (dag) return <OneDag name={props.name} version={version} dag={dag} run={run} />;
  return <AllDags name={props.name} version={version} />;
}

interface Row {
  id: string;
  file: DagFile | undefined;
  dag: Dag | undefined;
}

function AllDags({ name, version }: { name: string; version: string }) {
  const airflow = useMemo(() => new Airflow(name, version), [name, version]);
  const own = (event: { type: string; environment?: string }) => about(event) || (event.type === "DagParsed" && event.environment === name);
  const files = useLive((signal) => get<DagFile[]>(`environments/${encodeURIComponent(name)}/files`, signal), [name], (event) => own(event) || event.type === "ObjectDeleted");
  const dags = useLive((signal) => airflow.dags(signal), [name, version], (event) => own(event) || event.type === "ObjectDeleted", (dags) => {
    // Airflow may answer for a DAG a moment after it has read the file, and announces neither that nor a pause.
    const known = new Set(dags?.map((dag) => dag.id));
    return files.data?.some((file) => file.dag_ids.some((id) => !known.has(id))) ? 1500 : 15_000;
  });
  const [filter, setFilter] = useState(() => new URLSearchParams(location.search).get("find") ?? "");
  const [page, setPage] = useState(1);
  const [triggering, setTriggering] = useState<string | null>(null);
  const rows = useMemo(() => merged(files.data ?? [], dags.data), [files.data, dags.data]);
  const found = rows.filter((row) => [row.id, row.file?.path ?? "", ...(row.dag?.tags ?? [])].some((text) => text.toLowerCase().includes(filter.toLowerCase())));
  const shown = found.slice((page - 1) * PAGE, page * PAGE);
  const ids = shown.map((row) => row.id);
  const runs = useLive(
    async (signal) => (ids.length ? airflow.runs(ids, signal) : []),
    [name, ids],
    own,
    // Airflow tells nobody when a run ends, so what runs is looked at again.
    (runs) => (runs?.some((run) => ["running", "queued"].includes(run.state)) ? 2000 : 10_000),
  );
  const broken = (files.data ?? []).filter((file) => file.error);
  if (files.loading) return <Waiting />;
  return (
    <SpaceBetween size="l">
      {broken.length > 0 && (
        <SpaceBetween size="s">
          {broken.slice(0, 5).map((file) => <Broken key={file.path} file={file} name={name} />)}
          {broken.length > 5 && <Alert type="error">{plural(broken.length - 5, "further file does", "further files do")} not import.</Alert>}
        </SpaceBetween>
      )}
      <Trouble error={files.error} what="DAG files cannot be listed" />
      {dags.error && <Alert type="info">Airflow does not answer at the moment: {dags.error.message}</Alert>}
      <Table
        variant="container"
        items={shown}
        trackBy="id"
        loading={dags.loading && rows.length === 0}
        loadingText="Asking Airflow"
        empty={<Nothing title={filter ? "No DAG has that name" : "No DAGs yet"}>{filter ? null : "Save a file with a DAG in the project's dags folder, and it is here."}</Nothing>}
        header={<Header variant="h1" counter={`(${found.length})`} description="A saved file is here at once.">DAGs</Header>}
        filter={<TextFilter filteringText={filter} filteringPlaceholder="Find DAGs, files, tags" filteringAriaLabel="Find DAGs" onChange={({ detail }) => { setFilter(detail.filteringText); setPage(1); }} />}
        pagination={<Pagination currentPageIndex={page} pagesCount={Math.max(1, Math.ceil(found.length / PAGE))} onChange={({ detail }) => setPage(detail.currentPageIndex)} />}
        columnDefinitions={[
          { id: "id", header: "DAG", isRowHeader: true, cell: (row) => <><To href={`/environments/${encodeURIComponent(name)}/dags/${encodeURIComponent(row.id)}`}>{row.id}</To>{row.dag?.tags.map((tag) => <Box key={tag} display="inline" margin={{ left: "xxs" }}><Badge>{tag}</Badge></Box>)}</> },
          { id: "runs", header: "Last runs", cell: (row) => <Bars runs={(runs.data ?? []).filter((run) => run.dag === row.id)} name={name} /> },
          { id: "schedule", header: "Schedule", cell: (row) => row.dag?.schedule ?? "–" },
          { id: "file", header: "File", cell: (row) => (row.file ? <To href={`/environments/${encodeURIComponent(name)}/code?key=${encodeURIComponent(row.file.key)}`}>{row.file.path}</To> : "–") },
          { id: "on", header: "On", cell: (row) => <Pause row={row} airflow={airflow} changed={dags.reload} /> },
          { id: "go", header: "Run", cell: (row) => <Button variant="inline-icon" iconName="caret-right-filled" ariaLabel={`Trigger ${row.id}`} disabled={!row.dag} onClick={() => setTriggering(row.id)} /> },
        ]}
      />
      {triggering && <Trigger airflow={airflow} dag={triggering} close={() => setTriggering(null)} done={() => { runs.reload(); dags.reload(); }} />}
    </SpaceBetween>
  );
}

function merged(files: DagFile[], dags: Dag[] | undefined): Row[] {
  const rows = new Map<string, Row>();
  for (const file of files) for (const id of file.dag_ids) rows.set(id, { id, file, dag: undefined });
  for (const dag of dags ?? []) {
    const row = rows.get(dag.id);
    if (row) row.dag = dag;
    else if (dag.active) rows.set(dag.id, { id: dag.id, file: undefined, dag });
  }
  return [...rows.values()].sort((one, other) => (one.id < other.id ? -1 : 1));
}

function Pause({ row, airflow, changed }: { row: Row; airflow: Airflow; changed: () => void }) {
  const [wanted, setWanted] = useState<boolean | null>(null);
  if (!row.dag) return <>–</>;
  const on = wanted ?? !row.dag.paused;
  const turn = async (to: boolean) => {
    setWanted(to);
    try {
      await airflow.pause(row.id, !to);
    } catch (error) {
      failed(error);
    }
    changed();
    setWanted(null);
  };
  return <Toggle checked={on} onChange={({ detail }) => void turn(detail.checked)} ariaLabel={`${row.id} runs on its schedule`} />;
}

/** A file that does not import: the message, the lines around it, the traceback. */
function Broken({ file, name }: { file: DagFile; name: string }) {
  const error = file.error;
  const folder = file.key.slice(0, file.key.length - file.path.length);
  const at = `${folder}${error?.file ?? file.path}`;
  const source = useLive(() => objectText(file.bucket, at), [file.bucket, at, error?.message ?? "", error?.line ?? 0], (event) => event.type === "ObjectWritten" && event.key === at);
  if (!error) return null;
  const from = Math.max(1, error.line - 4);
  const lines = source.data?.split("\n").slice(from - 1, error.line + 3).join("\n");
  return (
    <Alert type="error" header={`${file.path} does not import`} action={<To href={`/environments/${encodeURIComponent(name)}/code?key=${encodeURIComponent(file.key)}`}>Code and versions</To>}>
      <SpaceBetween size="xs">
        <Box color="inherit">{error.file}:{error.line}: <b>{error.message}</b></Box>
        {lines && error.line > 0 && <Source text={lines} first={from} marked={error.line} label={`Lines of ${error.file}`} />}
        <ExpandableSection headerText="Traceback"><Plain text={error.traceback} label={`Traceback of ${file.path}`} /></ExpandableSection>
      </SpaceBetween>
    </Alert>
  );
}

