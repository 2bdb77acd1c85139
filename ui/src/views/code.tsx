// The code of a file, its versions, the difference of any two, which runs ran which version, and restore.

import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import Pagination from "@cloudscape-design/components/pagination";
import SegmentedControl from "@cloudscape-design/components/segmented-control";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import { useMemo, useState } from "react";
import { useLocation, useSearch } from "wouter";
import type { PageProps } from "../app";
import { Airflow, type Run } from "../airflow";
import { get, objectText, query, send } from "../api";
import { diff, folded } from "../diff";
import { bytes, moment } from "../format";
import { useLive } from "../live";
import { Nothing, Source, Status, To, Trouble } from "../parts/bits";
import { attempt } from "../parts/notices";
import { Waiting } from "../parts/waiting";
import type { DagFile, History, VersionTold } from "../wire";

const PAGE = 15;

export default function Code({ name, overview }: PageProps) {
  const search = new URLSearchParams(useSearch());
  const [, go] = useLocation();
  const status = overview?.environments.find((one) => one.name === name);
  const files = useLive((signal) => get<DagFile[]>(`environments/${encodeURIComponent(name)}/files`, signal), [name], (event) => event.type === "DagParsed");
  const asked = search.get("dag");
  const byDag = asked ? files.data?.find((file) => file.dag_ids.includes(asked))?.key : undefined;
  const key = search.get("key") ?? byDag ?? files.data?.[0]?.key;
  if (!status || files.loading) return <Waiting />;
  const options = (files.data ?? []).map((file) => ({ value: file.key, label: file.key, description: file.dag_ids.join(", ") }));
  if (key && !options.some((option) => option.value === key)) options.unshift({ value: key, label: key, description: "" });
  return (
    <SpaceBetween size="l">
      <Header variant="h1" description="Every save is a version.">Code</Header>
      <Select
        options={options}
        selectedOption={key ? { value: key, label: key } : null}
        placeholder="Choose a file"
        filteringType="auto"
        ariaLabel="File"
        empty="No file has a DAG in it"
        onChange={({ detail }) => go(`/environments/${encodeURIComponent(name)}/code?key=${encodeURIComponent(detail.selectedOption.value ?? "")}`)}
      />
      {key && <File key={key} name={name} version={status.airflow_version} bucket={status.bucket} object={key} dags={files.data?.find((file) => file.key === key)?.dag_ids ?? []} />}
    </SpaceBetween>
  );
}

function File({ name, version, bucket, object, dags }: { name: string; version: string; bucket: string; object: string; dags: string[] }) {
  const airflow = useMemo(() => new Airflow(name, version), [name, version]);
  const history = useLive((signal) => get<History>(`versions?${query({ bucket, key: object })}`, signal), [bucket, object], (event) => event.key === object && event.type.startsWith("Object"));
  const runs = useLive(async (signal) => (dags.length ? airflow.runs(dags, signal) : []), [name, dags], undefined, 15_000);
  const [chosen, setChosen] = useState<VersionTold[]>([]);
  const [page, setPage] = useState(1);
  const all = useMemo(() => history.data?.versions ?? [], [history.data]);
  // A version may have gone, or another have come, since it was chosen.
  const picked = chosen.filter((one) => all.some((version) => version.version_id === one.version_id));
  const [newer, older] = picked.length ? [...picked].sort((one, other) => all.findIndex((v) => v.version_id === one.version_id) - all.findIndex((v) => v.version_id === other.version_id)) : [all[0]];
  const restore = (id: string) => attempt(`${object} is again what version ${id} was`, () => send("POST", `restore?${query({ bucket, key: object, version_id: id })}`));
  const ran = useMemo(() => byVersion(all, runs.data ?? []), [all, runs.data]);
  if (history.loading) return <Waiting />;
  const base = `/environments/${encodeURIComponent(name)}/dags/`;
  return (
    <SpaceBetween size="l">
      <Trouble error={history.error} what="The versions cannot be listed" />
      <Table
        items={all.slice((page - 1) * PAGE, page * PAGE)}
        trackBy="version_id"
        selectionType="multi"
        selectedItems={picked}
        isItemDisabled={(one) => one.is_delete_marker}
        onSelectionChange={({ detail }) => setChosen(detail.selectedItems.slice(-2))}
        ariaLabels={{ selectionGroupLabel: "Versions", allItemsSelectionLabel: () => "Choose all versions", itemSelectionLabel: (_, one) => `Choose version ${one.version_id}` }}
        empty={<Nothing title="There is no version of it" />}
        header={<Header variant="h2" counter={`(${all.length})`} description="Choose two to see what is different.">Versions of {object}</Header>}
        pagination={<Pagination currentPageIndex={page} pagesCount={Math.max(1, Math.ceil(all.length / PAGE))} onChange={({ detail }) => setPage(detail.currentPageIndex)} />}
        columnDefinitions={[
          { id: "at", header: "Saved", cell: (one) => moment(one.modified), isRowHeader: true },
          { id: "id", header: "Version", cell: (one) => <>{one.version_id}{one.is_latest && " (current)"}{one.is_delete_marker && " (delete marker)"}</> },
          { id: "size", header: "Size", cell: (one) => (one.is_delete_marker ? "–" : bytes(one.size_bytes)) },
          { id: "runs", header: "Runs", cell: (one) => { const here = ran.get(one.version_id) ?? []; return here.length ? <span>{here.slice(0, 3).map((run) => <Box key={run.dag + run.id} display="inline" margin={{ right: "xs" }}><To href={`${base}${encodeURIComponent(run.dag)}/${encodeURIComponent(run.id)}`}><Status of={run.state} /></To></Box>)}{here.length > 3 && `and ${here.length - 3} more`}</span> : "–"; } },
          { id: "restore", header: "Restore", cell: (one) => (one.is_latest || one.is_delete_marker ? "–" : <Button variant="inline-link" ariaLabel={`Restore version ${one.version_id}`} onClick={() => void restore(one.version_id)}>Restore</Button>) },
        ]}
        footer={<Box color="text-body-secondary" fontSize="body-s">A run belongs to the version that was current when it started. Restoring writes the bucket, as everything here; the project's folder is never written: `windtunnel restore` does that.</Box>}
      />
      {older && newer ? <Difference bucket={bucket} object={object} before={older} after={newer} /> : newer && !newer.is_delete_marker ? <Text bucket={bucket} object={object} version={newer} /> : null}
    </SpaceBetween>
  );
}

/** Which runs started while a version was the current one. */
export function byVersion(versions: VersionTold[], runs: Run[]): Map<string, Run[]> {
  const found = new Map<string, Run[]>();
  for (const run of runs) {
    if (!run.start) continue;
    const began = new Date(run.start).getTime();
    const then = versions.find((version) => new Date(version.modified).getTime() <= began);
    if (then) found.set(then.version_id, [...(found.get(then.version_id) ?? []), run]);
  }
  return found;
}

function Text({ bucket, object, version }: { bucket: string; object: string; version: VersionTold }) {
  const text = useLive(() => objectText(bucket, object, version.version_id), [bucket, object, version.version_id]);
  return (
    <Container header={<Header variant="h2">{version.is_latest ? "Current version" : `Version of ${moment(version.modified)}`}</Header>}>
      <Trouble error={text.error} what="It cannot be read" />
      {text.data !== undefined && <Source text={text.data} label={`Code of ${object}`} />}
    </Container>
  );
}

function Difference({ bucket, object, before, after }: { bucket: string; object: string; before: VersionTold; after: VersionTold }) {
  const [whole, setWhole] = useState("changes");
  const texts = useLive(() => Promise.all([objectText(bucket, object, before.version_id), objectText(bucket, object, after.version_id)]), [bucket, object, before.version_id, after.version_id]);
  const lines = useMemo(() => (texts.data ? diff(texts.data[0], texts.data[1]) : []), [texts.data]);
  const shown = whole === "whole" ? lines : folded(lines);
  return (
    <Container header={<Header variant="h2" actions={<SegmentedControl label="Show" selectedId={whole} onChange={({ detail }) => setWhole(detail.selectedId)} options={[{ id: "changes", text: "Changes" }, { id: "whole", text: "Whole file" }]} />}>{moment(before.modified)} → {moment(after.modified)}</Header>}>
      <Trouble error={texts.error} what="The versions cannot be read" />
      {texts.data && lines.every((line) => line.kind === "same") && <Alert type="info">The two versions are the same.</Alert>}
      {shown.length > 0 && (
        <div className="diff" tabIndex={0} role="region" aria-label="Difference of the two versions">
          {shown.map((line, at) => line === null ? <div key={at} className="gap">⋯</div> : (
            <div key={at} className={`line ${line.kind}`}>
              <span className="number" data-number={line.before ?? ""} />
              <span className="number" data-number={line.after ?? ""} />
              <span className="sign">{line.kind === "added" ? "+" : line.kind === "removed" ? "−" : " "}</span>
              <code>{line.text || " "}</code>
            </div>
          ))}
        </div>
      )}
    </Container>
  );
}
