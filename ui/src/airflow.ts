// Airflow's REST API, as versions 2 and 3 have it, in one shape.

import { call, get, query, send } from "./api";

export interface Dag {
  id: string;
  paused: boolean;
  active: boolean;
  file: string;
  schedule: string;
  tags: string[];
  owners: string[];
  nextRun: string | null;
  description: string;
}

export interface Run {
  dag: string;
  id: string;
  state: string;
  type: string;
  logical: string | null;
  start: string | null;
  end: string | null;
  conf: unknown;
}

export interface Task {
  id: string;
  state: string | null;
  start: string | null;
  end: string | null;
  duration: number | null;
  try: number;
  map: number;
  host: string;
  operator: string;
  dag: string;
  run: string;
}

export interface XCom {
  task: string;
  key: string;
  map: number;
  at: string;
}

type Raw = Record<string, unknown>;
const text = (value: unknown) => (typeof value === "string" ? value : "");
const maybe = (value: unknown) => (typeof value === "string" ? value : null);
const list = (value: unknown) => (Array.isArray(value) ? (value as Raw[]) : []);

const PAGE = 100;

export class Airflow {
  private readonly base: string;
  private readonly three: boolean;

  constructor(environment: string, version: string, private readonly role?: string) {
    this.three = version.startsWith("3");
    this.base = `environments/${encodeURIComponent(environment)}/airflow/api/${this.three ? "v2" : "v1"}/`;
  }

  private raw<T>(path: string, signal?: AbortSignal): Promise<T> {
    if (!this.role) return get<T>(this.base + path, signal);
    const headers = { "x-windtunnel-role": this.role };
    return call("GET", this.base + path, { headers, signal }).then((response) => response.json() as Promise<T>);
  }

  /** Whether the role may: the status that Airflow answers with. */
  async probe(method: string, path: string, body?: unknown): Promise<number> {
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (this.role) headers["x-windtunnel-role"] = this.role;
    try {
      const init: RequestInit = { headers };
      if (body !== undefined) init.body = JSON.stringify(body);
      return (await call(method, this.base + path, init)).status;
    } catch (error) {
      return (error as { status?: number }).status ?? 0;
    }
  }

  async dags(signal?: AbortSignal): Promise<Dag[]> {
    const page = (offset: number) =>
      this.raw<{ dags: Raw[]; total_entries: number }>(`dags?${query({ limit: PAGE, offset, order_by: "dag_id" })}`, signal);
    const first = await page(0);
    const offsets = [];
    for (let offset = PAGE; offset < first.total_entries; offset += PAGE) offsets.push(offset);
    const rest = await Promise.all(offsets.map(page));
    return [first, ...rest].flatMap((one) => one.dags).map(dag);
  }

  /** The newest runs, the newest first: of these DAGs, or of all. */
  async runs(dags: string[] | null, signal?: AbortSignal): Promise<Run[]> {
    const order = this.three ? "-run_after" : "-execution_date";
    if (dags?.length === 1) {
      const path = `dags/${encodeURIComponent(dags[0] ?? "")}/dagRuns?${query({ limit: 50, order_by: order })}`;
      return list((await this.raw<Raw>(path, signal)).dag_runs).map(run);
    }
    const body: Raw = { page_limit: PAGE, order_by: order };
    if (dags) body.dag_ids = dags;
    const answer = await send<Raw>("POST", `${this.base}dags/~/dagRuns/list`, body);
    return list(answer.dag_runs).map(run);
  }

  async run(dagId: string, runId: string, signal?: AbortSignal): Promise<Run> {
    return run(await this.raw<Raw>(`dags/${encodeURIComponent(dagId)}/dagRuns/${encodeURIComponent(runId)}`, signal));
  }

  async tasks(dagId: string, runId: string, signal?: AbortSignal): Promise<Task[]> {
    const path = `dags/${encodeURIComponent(dagId)}/dagRuns/${encodeURIComponent(runId)}/taskInstances?limit=100`;
    return list((await this.raw<Raw>(path, signal)).task_instances).map(task);
  }

  /** Tasks that wait for a worker or run on one. */
  async busy(signal?: AbortSignal): Promise<Task[]> {
    const path = "dags/~/dagRuns/~/taskInstances?limit=100&state=running&state=queued";
    return list((await this.raw<Raw>(path, signal)).task_instances).map(task);
  }

  async recent(signal?: AbortSignal): Promise<Task[]> {
    const since = new Date(Date.now() - 3_600_000).toISOString();
    const path = `dags/~/dagRuns/~/taskInstances?${query({ limit: PAGE, start_date_gte: since })}`;
    return list((await this.raw<Raw>(path, signal)).task_instances).map(task);
  }

  async xcoms(dagId: string, runId: string, signal?: AbortSignal): Promise<XCom[]> {
    const path = `dags/${encodeURIComponent(dagId)}/dagRuns/${encodeURIComponent(runId)}/taskInstances/~/xcomEntries?limit=100`;
    return list((await this.raw<Raw>(path, signal)).xcom_entries).map((raw) => ({
      task: text(raw.task_id),
      key: text(raw.key),
      map: typeof raw.map_index === "number" ? raw.map_index : -1,
      at: text(raw.timestamp),
    }));
  }

  async xcom(dagId: string, runId: string, entry: XCom): Promise<string> {
    const place = `dags/${encodeURIComponent(dagId)}/dagRuns/${encodeURIComponent(runId)}/taskInstances/${encodeURIComponent(entry.task)}`;
    const map = entry.map >= 0 ? `?map_index=${entry.map}` : "";
    const raw = await this.raw<Raw>(`${place}/xcomEntries/${encodeURIComponent(entry.key)}${map}`);
    return typeof raw.value === "string" ? raw.value : JSON.stringify(raw.value, null, 2);
  }

  async log(dagId: string, runId: string, of: Task): Promise<string> {
    const place = `dags/${encodeURIComponent(dagId)}/dagRuns/${encodeURIComponent(runId)}/taskInstances/${encodeURIComponent(of.id)}`;
    const path = `${place}/logs/${Math.max(of.try, 1)}?${query({ full_content: "true", map_index: of.map })}`;
    const response = await call("GET", this.base + path, { headers: { accept: this.three ? "application/json" : "text/plain" } });
    const said = await response.text();
    if (!this.three) return said;
    const content = (JSON.parse(said) as { content?: unknown }).content;
    if (!Array.isArray(content)) return text(content);
    return content.map((line: unknown) => (typeof line === "string" ? line : structured(line as Raw))).join("\n");
  }

  pause(dagId: string, paused: boolean): Promise<unknown> {
    return send("PATCH", `${this.base}dags/${encodeURIComponent(dagId)}?update_mask=is_paused`, { is_paused: paused });
  }

  async trigger(dagId: string, conf: unknown): Promise<Run> {
    const body = this.three ? { conf, logical_date: null } : { conf };
    return run(await send<Raw>("POST", `${this.base}dags/${encodeURIComponent(dagId)}/dagRuns`, body));
  }

  async plugins(signal?: AbortSignal): Promise<Record<string, unknown>[]> {
    return list((await this.raw<Raw>("plugins?limit=100", signal)).plugins);
  }
}

function structured(line: Raw): string {
  const { timestamp, level, event, ...rest } = line;
  const more = Object.entries(rest).filter(([name]) => !["logger", "filename", "lineno"].includes(name));
  const words = more.map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return [timestamp ? `[${text(timestamp)}]` : "", level ? text(level).toUpperCase() : "", text(event), ...words].filter(Boolean).join(" ");
}

function dag(raw: Raw): Dag {
  const schedule = raw.schedule_interval as { value?: unknown; __type?: string } | string | null | undefined;
  const interval = typeof schedule === "object" && schedule !== null ? text(schedule.value) || text(schedule.__type) : text(schedule);
  return {
    id: text(raw.dag_id),
    paused: raw.is_paused === true,
    active: raw.is_active !== false && raw.is_stale !== true,
    file: text(raw.fileloc),
    schedule: text(raw.timetable_summary) || interval || text(raw.timetable_description) || "none",
    tags: list(raw.tags).map((tag) => text(tag.name)),
    owners: Array.isArray(raw.owners) ? (raw.owners as string[]) : [],
    nextRun: maybe(raw.next_dagrun) ?? maybe(raw.next_dagrun_logical_date),
    description: text(raw.description),
  };
}

function run(raw: Raw): Run {
  return {
    dag: text(raw.dag_id),
    id: text(raw.dag_run_id),
    state: text(raw.state),
    type: text(raw.run_type),
    logical: maybe(raw.logical_date) ?? maybe(raw.execution_date),
    start: maybe(raw.start_date),
    end: maybe(raw.end_date),
    conf: raw.conf,
  };
}

function task(raw: Raw): Task {
  return {
    id: text(raw.task_id),
    state: maybe(raw.state),
    start: maybe(raw.start_date),
    end: maybe(raw.end_date),
    duration: typeof raw.duration === "number" ? raw.duration : null,
    try: typeof raw.try_number === "number" ? raw.try_number : 1,
    map: typeof raw.map_index === "number" ? raw.map_index : -1,
    host: text(raw.hostname),
    operator: text(raw.operator) || text(raw.operator_name),
    dag: text(raw.dag_id),
    run: text(raw.dag_run_id),
  };
}
