// What waits in the queue, what each worker runs, and what the autoscaler decided.

import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import { useEffect, useMemo, useState } from "react";
import type { PageProps } from "../app";
import { Airflow, type Task } from "../airflow";
import { get } from "../api";
import { duration, moment, plural } from "../format";
import { useLive } from "../live";
import { Chart } from "../parts/chart";
import { Nothing, Status, To, Trouble } from "../parts/bits";
import { Waiting } from "../parts/waiting";
import type { JournalEvent, Overview } from "../wire";

interface Sample {
  at: number;
  waiting: number;
  running: number;
  workers: number;
}

export default function Workers({ name, overview }: PageProps) {
  const status = overview?.environments.find((one) => one.name === name);
  if (!status) return <Waiting />;
  return <Shown name={name} version={status.airflow_version} />;
}

function Shown({ name, version }: { name: string; version: string }) {
  const airflow = useMemo(() => new Airflow(name, version), [name, version]);
  const scaled = (event: JournalEvent) => event.type === "WorkersScaled" || event.type === "EnvironmentChanged";
  // Messages of a queue are in no journal, so the depth is looked at.
  const overview = useLive(async (signal) => ({ told: await get<Overview>("status", signal), at: Date.now() }), [name], scaled, 2000);
  const events = useLive((signal) => get<JournalEvent[]>("journal?count=5000", signal), [name], scaled);
  const tasks = useLive(async (signal) => ({ busy: await airflow.busy(signal), recent: await airflow.recent(signal) }), [name, version], scaled, 3000);
  const status = overview.data?.told.environments.find((one) => one.name === name);
  const samples = useSamples(status && overview.data ? { at: overview.data.at, waiting: status.workers.queued, running: status.workers.running, workers: status.workers.count } : undefined);
  const decisions = (events.data ?? []).filter((event) => event.type === "WorkersScaled" && event.environment === name).reverse();
  const workers = (status?.components ?? []).filter((one) => one.name.startsWith("worker"));
  const rows = workerRows(tasks.data?.recent ?? [], tasks.data?.busy ?? []);
  const pages = `/environments/${encodeURIComponent(name)}`;
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h1">Workers</Header>}>
        <KeyValuePairs columns={4} items={[
          { label: "Workers now", value: status ? `${status.workers.count} (${status.workers.min} to ${status.workers.max})` : "…" },
          { label: "Tasks that wait", value: status ? String(status.workers.queued) : "…" },
          { label: "Tasks on a worker", value: status ? String(status.workers.running) : "…" },
          { label: "Tasks each runs at once", value: String(status?.workers.slots ?? "–") },
        ]} />
      </Container>
      <Trouble error={overview.error ?? tasks.error} what="Not everything can be shown" />
      <Chart title="Tasks and workers" description="Since this page is open." times={samples.map((one) => one.at)} series={[
        { label: "waiting", values: samples.map((one) => one.waiting), color: "#d97706" },
        { label: "on a worker", values: samples.map((one) => one.running), color: "#0972d3" },
        { label: "workers", values: samples.map((one) => one.workers), color: "#2ea043" },
      ]} />
      {decisions.length > 1 && (
        <Chart title="Autoscaling" description="Every decision, and the tasks it was taken for." times={[...decisions].reverse().map((one) => one.at ?? 0)} series={[
          { label: "workers wanted", values: [...decisions].reverse().map((one) => one.to ?? 0), color: "#2ea043" },
          { label: "tasks", values: [...decisions].reverse().map((one) => (one.queued ?? 0) + (one.running ?? 0)), color: "#d97706" },
        ]} />
      )}
      <Table
        header={<Header variant="h2" counter={`(${decisions.length})`}>Autoscaling decisions</Header>}
        items={decisions.slice(0, 20)}
        empty={<Nothing title="None yet">The number of workers has not changed.</Nothing>}
        columnDefinitions={[
          { id: "at", header: "At", cell: (one) => moment(one.at), isRowHeader: true },
          { id: "to", header: "Workers", cell: (one) => `${one.from} → ${one.to}` },
          { id: "why", header: "Because", cell: (one) => `${plural(one.queued ?? 0, "task waits", "tasks wait")}, ${plural(one.running ?? 0, "runs", "run")}` },
        ]}
      />
      <Table
        header={<Header variant="h2" counter={`(${workers.length})`}>Processes</Header>}
        items={workers}
        empty={<Nothing title="No worker runs" />}
        columnDefinitions={[
          { id: "name", header: "Worker", cell: (one) => one.name, isRowHeader: true },
          { id: "pid", header: "Process", cell: (one) => one.pid ?? "–" },
          { id: "restarts", header: "Started again", cell: (one) => one.restarts },
        ]}
      />
      <Table
        header={<Header variant="h2" description="Of the last hour.">Tasks per worker</Header>}
        items={rows}
        empty={<Nothing title="No task has run in the last hour" />}
        columnDefinitions={[
          { id: "host", header: "Host", cell: (row) => row.host, isRowHeader: true },
          { id: "running", header: "Runs now", cell: (row) => row.running },
          { id: "done", header: "Done", cell: (row) => row.done },
          { id: "failed", header: "Failed", cell: (row) => row.failed },
          { id: "busy", header: "Time in tasks", cell: (row) => duration(row.seconds * 1000) },
        ]}
      />
      <Table
        header={<Header variant="h2" counter={`(${tasks.data?.busy.length ?? 0})`}>Tasks under way</Header>}
        items={tasks.data?.busy ?? []}
        empty={<Nothing title="Nothing runs and nothing waits" />}
        columnDefinitions={[
          { id: "task", header: "Task", cell: (one) => <To href={`${pages}/dags/${encodeURIComponent(one.dag)}/${encodeURIComponent(one.run)}`}>{`${one.dag}.${one.id}`}</To>, isRowHeader: true },
          { id: "state", header: "State", cell: (one) => <Status of={one.state} /> },
          { id: "start", header: "Started", cell: (one) => moment(one.start) },
          { id: "host", header: "Host", cell: (one) => one.host || "–" },
        ]}
      />
    </SpaceBetween>
  );
}

const KEPT = 900;

function useSamples(newest: Sample | undefined): Sample[] {
  const [samples, setSamples] = useState<Sample[]>([]);
  const at = newest?.at;
  useEffect(() => {
    if (newest) setSamples((before) => (before.at(-1)?.at === newest.at ? before : [...before.slice(-KEPT), newest]));
    // One look is one sample, however often the page is drawn.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [at]);
  return samples;
}

function workerRows(recent: Task[], busy: Task[]) {
  const rows = new Map<string, { host: string; running: number; done: number; failed: number; seconds: number }>();
  const known = new Map([...recent, ...busy].map((task) => [`${task.dag} ${task.run} ${task.id} ${task.map}`, task]));
  for (const task of known.values()) {
    if (!task.host) continue;
    const row = rows.get(task.host) ?? { host: task.host, running: 0, done: 0, failed: 0, seconds: 0 };
    if (task.state === "running") row.running += 1;
    if (task.state === "success") row.done += 1;
    if (task.state === "failed") row.failed += 1;
    row.seconds += task.duration ?? 0;
    rows.set(task.host, row);
  }
  return [...rows.values()];
}
