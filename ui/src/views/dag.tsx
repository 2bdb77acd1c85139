// One DAG: its runs; of a run its tasks, their logs, and what they handed on (XCom).

import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import Container from "@cloudscape-design/components/container";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import { useMemo, useState } from "react";
import { useLocation } from "wouter";
import { Airflow, type Task, type XCom } from "../airflow";
import { duration, moment, pretty } from "../format";
import { useLive } from "../live";
import { Copy, Nothing, Plain, Status, To, Trouble } from "../parts/bits";
import { LogLines } from "../parts/loglines";
import { Trigger } from "../parts/trigger";

const goesOn = (state: string | null | undefined) => ["running", "queued"].includes(state ?? "");

export function OneDag({ name, version, dag, run }: { name: string; version: string; dag: string; run: string | undefined }) {
  const airflow = useMemo(() => new Airflow(name, version), [name, version]);
  const [, go] = useLocation();
  const [triggering, setTriggering] = useState(false);
  const base = `/environments/${encodeURIComponent(name)}/dags/${encodeURIComponent(dag)}`;
  const runs = useLive(
    (signal) => airflow.runs([dag], signal),
    [name, dag],
    (event) => event.type === "DagParsed",
    (runs) => (runs?.some((one) => goesOn(one.state)) ? 1500 : 10_000),
  );
  const chosen = run ?? runs.data?.[0]?.id;
  return (
    <SpaceBetween size="l">
      <Table
        variant="container"
        items={runs.data ?? []}
        trackBy="id"
        loading={runs.loading}
        loadingText="Asking Airflow"
        selectionType="single"
        selectedItems={(runs.data ?? []).filter((one) => one.id === chosen)}
        onSelectionChange={({ detail }) => detail.selectedItems[0] && go(`${base}/${encodeURIComponent(detail.selectedItems[0].id)}`)}
        ariaLabels={{ selectionGroupLabel: "Runs", itemSelectionLabel: (_, one) => `Show run ${one.id}` }}
        empty={<Nothing title="It never ran">Trigger it, or let its schedule do it.</Nothing>}
        header={
          <Header
            variant="h1"
            counter={runs.data ? `(${runs.data.length === 50 ? "newest 50" : runs.data.length})` : ""}
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button onClick={() => go(`/environments/${encodeURIComponent(name)}/code?dag=${encodeURIComponent(dag)}`)}>Code</Button>
                <Button variant="primary" onClick={() => setTriggering(true)}>Trigger</Button>
              </SpaceBetween>
            }
          >
            {dag}
          </Header>
        }
        columnDefinitions={[
          { id: "state", header: "State", cell: (one) => <Status of={one.state} /> },
          { id: "run", header: "Run", cell: (one) => <To href={`${base}/${encodeURIComponent(one.id)}`}>{one.id}</To>, isRowHeader: true },
          { id: "start", header: "Started", cell: (one) => moment(one.start) },
          { id: "took", header: "Took", cell: (one) => (one.start && one.end ? duration(new Date(one.end).getTime() - new Date(one.start).getTime()) : "–") },
          { id: "type", header: "Type", cell: (one) => one.type },
        ]}
      />
      <Trouble error={runs.error} what="Runs cannot be listed" />
      {chosen && <OneRun key={chosen} airflow={airflow} name={name} dag={dag} run={chosen} />}
      {triggering && <Trigger airflow={airflow} dag={dag} close={() => setTriggering(false)} done={runs.reload} />}
    </SpaceBetween>
  );
}

function OneRun({ airflow, name, dag, run }: { airflow: Airflow; name: string; dag: string; run: string }) {
  const [task, setTask] = useState<Task | null>(null);
  const it = useLive(
    async (signal) => {
      const [told, tasks, xcoms] = await Promise.all([airflow.run(dag, run, signal), airflow.tasks(dag, run, signal), airflow.xcoms(dag, run, signal).catch(() => [])]);
      return { told, tasks, xcoms };
    },
    [name, dag, run],
    undefined,
    (data) => (goesOn(data?.told.state) ? 1500 : null),
  );
  const took = (one: Task) => (one.duration !== null ? duration(one.duration * 1000) : "–");
  if (it.error) return <Trouble error={it.error} what={`Run ${run} cannot be shown`} />;
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">Run {run}</Header>}>
        <KeyValuePairs
          columns={4}
          items={[
            { label: "State", value: it.data ? <Status of={it.data.told.state} /> : "…" },
            { label: "Logical date", value: moment(it.data?.told.logical) },
            { label: "Started", value: moment(it.data?.told.start) },
            { label: "Configuration", value: it.data ? <Copy text={JSON.stringify(it.data.told.conf ?? {})} /> : "…" },
          ]}
        />
      </Container>
      <Table
        header={<Header variant="h2" counter={it.data ? `(${it.data.tasks.length})` : ""}>Tasks</Header>}
        items={it.data?.tasks ?? []}
        loading={it.loading}
        loadingText="Asking Airflow"
        empty={<Nothing title="No tasks yet" />}
        columnDefinitions={[
          { id: "task", header: "Task", cell: (one) => (one.map >= 0 ? `${one.id} [${one.map}]` : one.id), isRowHeader: true },
          { id: "state", header: "State", cell: (one) => <Status of={one.state} /> },
          { id: "try", header: "Try", cell: (one) => one.try },
          { id: "start", header: "Started", cell: (one) => moment(one.start) },
          { id: "took", header: "Took", cell: took },
          { id: "operator", header: "Operator", cell: (one) => one.operator },
          { id: "log", header: "Log", cell: (one) => <Button variant="inline-link" ariaLabel={`Log of ${one.id}`} onClick={() => setTask(one)}>Log</Button> },
        ]}
      />
      {task && <TaskLog key={`${task.id}${task.try}${task.map}`} airflow={airflow} name={name} dag={dag} run={run} task={task} />}
      <XComs airflow={airflow} dag={dag} run={run} entries={it.data?.xcoms ?? []} />
    </SpaceBetween>
  );
}

function TaskLog({ airflow, name, dag, run, task }: { airflow: Airflow; name: string; dag: string; run: string; task: Task }) {
  const map = task.map >= 0 ? `/map_index=${task.map}` : "";
  const stream = `dag_id=${dag}/run_id=${run}/task_id=${task.id}${map}/attempt=${Math.max(1, task.try)}.log`.replace(/:/g, "_");
  const log = useLive(() => airflow.log(dag, run, task), [dag, run, task.id, task.try], undefined, goesOn(task.state) ? 2000 : null);
  return (
    <Container header={<Header variant="h2" actions={<To href={`/environments/${encodeURIComponent(name)}/logs?group=Task&stream=${encodeURIComponent(stream)}`}>In CloudWatch Logs</To>}>Log of {task.id}, try {Math.max(1, task.try)}</Header>}>
      <Trouble error={log.error} what="The log cannot be read" />
      {log.data !== undefined && <LogLines label={`Log of ${task.id}`} lines={log.data.split("\n").map((text) => ({ text }))} />}
    </Container>
  );
}

function XComs({ airflow, dag, run, entries }: { airflow: Airflow; dag: string; run: string; entries: XCom[] }) {
  const [open, setOpen] = useState<{ entry: XCom; value: string } | null>(null);
  const show = async (entry: XCom) => setOpen({ entry, value: await airflow.xcom(dag, run, entry).catch((error: Error) => error.message) });
  return (
    <Table
      header={<Header variant="h2" counter={`(${entries.length})`} description="What tasks handed on.">XCom</Header>}
      items={entries}
      empty={<Nothing title="Nothing was handed on" />}
      columnDefinitions={[
        { id: "task", header: "Task", cell: (one) => one.task, isRowHeader: true },
        { id: "key", header: "Key", cell: (one) => one.key },
        { id: "at", header: "At", cell: (one) => moment(one.at) },
        { id: "value", header: "Value", cell: (one) => (open && open.entry.task === one.task && open.entry.key === one.key && open.entry.map === one.map ? <Plain label={`Value of ${one.key}`} text={pretty(open.value)} /> : <Button variant="inline-link" ariaLabel={`Show ${one.key} of ${one.task}`} onClick={() => void show(one)}>Show</Button>) },
      ]}
      footer={<Box color="text-body-secondary" fontSize="body-s">Values are shown as Airflow's API tells them.</Box>}
    />
  );
}
