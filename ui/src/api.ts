// Asks the console API. A page proves with a header that it is one of ours; the cookie goes along by itself.

import type { MwaaEnvironment } from "./wire";

export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

const BASE = "/console/v1/";

export async function call(method: string, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set("x-windtunnel-console", "1");
  let response: Response;
  try {
    response = await fetch(BASE + path, { ...init, method, headers, credentials: "same-origin" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refusal(0, "Unreachable", "windtunnel does not answer; does it still run?");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response: Response): Promise<Refusal> {
  const text = await response.text();
  const code = response.headers.get("x-amzn-errortype") ?? "";
  try {
    const body = JSON.parse(text) as Record<string, unknown>;
    const said = body.message ?? body.Message ?? body.detail ?? body.title;
    const words = typeof said === "string" ? said : said ? JSON.stringify(said) : text;
    return new Refusal(response.status, code || String(body.__type ?? body.code ?? ""), words);
  } catch {
    return new Refusal(response.status, code, text || response.statusText);
  }
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await (await call("GET", path, { signal })).json()) as T;
}

export async function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { headers: { "content-type": "application/json" } };
  if (body !== undefined) init.body = JSON.stringify(body);
  const text = await (await call(method, path, init)).text();
  return (text ? JSON.parse(text) : {}) as T;
}

export function query(parameters: Record<string, string | number | null | undefined>): string {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  return pairs.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join("&");
}

const segment = encodeURIComponent;

/** MWAA's API, as any client of it would speak. */
export const mwaa = {
  get: async (name: string, signal?: AbortSignal) =>
    (await get<{ Environment: MwaaEnvironment }>(`aws/airflow/environments/${segment(name)}`, signal)).Environment,
  create: (name: string, body: unknown) => send<{ Arn: string }>("PUT", `aws/airflow/environments/${segment(name)}`, body),
  update: (name: string, body: unknown) => send<{ Arn: string }>("PATCH", `aws/airflow/environments/${segment(name)}`, body),
  remove: (name: string) => send("DELETE", `aws/airflow/environments/${segment(name)}`),
  cliToken: (name: string) =>
    send<{ CliToken: string; WebServerHostname: string }>("POST", `aws/airflow/clitoken/${segment(name)}`),
  webToken: (name: string) =>
    send<{ WebToken: string; WebServerHostname: string; IamIdentity?: string; AirflowIdentity?: string }>(
      "POST",
      `aws/airflow/webtoken/${segment(name)}`,
    ),
  tag: (arn: string, tags: Record<string, string>) => send("POST", `aws/airflow/tags/${segment(arn)}`, { Tags: tags }),
  untag: (arn: string, keys: string[]) =>
    send("DELETE", `aws/airflow/tags/${segment(arn)}?${keys.map((key) => `tagKeys=${segment(key)}`).join("&")}`),
};

/** A service that speaks JSON with a target. */
export async function target<T>(service: string, operation: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const version = service === "sqs" ? "application/x-amz-json-1.0" : "application/x-amz-json-1.1";
  const response = await call("POST", `aws/${service}/`, {
    headers: { "content-type": version, "x-amz-target": operation },
    body: JSON.stringify(body),
    signal,
  });
  return (await response.json()) as T;
}

export async function objectText(bucket: string, key: string, version?: string | null): Promise<string> {
  return (await call("GET", `object?${query({ bucket, key, version_id: version })}`)).text();
}

export function downloadUrl(bucket: string, key: string, version?: string): string {
  return `${BASE}object?${query({ bucket, key, version_id: version, download: 1 })}`;
}

export async function upload(bucket: string, key: string, file: Blob): Promise<void> {
  const type = file.type || "application/octet-stream";
  await call("PUT", `object?${query({ bucket, key })}`, { body: file, headers: { "content-type": type } });
}
