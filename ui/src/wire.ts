// What the console API says. Samples of these, written by the binary's own tests, are held against the types in
// `wire.test.ts`.

/** `GET /status`. */
export interface Overview {
  aws_endpoint: string;
  console: string;
  pid: number;
  runtime: string;
  environments: EnvironmentStatus[];
}

export interface EnvironmentStatus {
  name: string;
  status: string;
  /** Host and port; null until a listener is bound. */
  webserver_url: string | null;
  airflow_version: string;
  bucket: string;
  reason: { code: string; message: string } | null;
  components: ComponentStatus[];
  workers: { count: number; min: number; max: number; slots: number | null; queued: number; running: number };
  import_errors: { file: string; line: number; message: string }[];
  launch: LaunchStep[];
}

export interface ComponentStatus {
  name: string;
  pid: number | null;
  restarts: number;
  /** A worker that ends once it has finished what it runs. */
  leaving: boolean;
  log: string;
}

/** A stage of a launch. */
export interface LaunchStep {
  stage: string;
  /** Since the Unix epoch. */
  began_ms: number;
  /** Null while it goes on. */
  took_ms: number | null;
  cached: boolean;
  lines: string[];
}

/** One event of the journal. */
export interface JournalEvent {
  type: string;
  seq?: number;
  /** Milliseconds since the Unix epoch. */
  at?: number;
  bucket?: string;
  key?: string;
  version?: string | null;
  environment?: string;
  status?: string;
  dagIds?: string[];
  tookMs?: number;
  error?: string | null;
  group?: string;
  stream?: string;
  from?: number;
  to?: number;
  queued?: number;
  running?: number;
}

/** One version of an object, or a delete marker. */
export interface VersionTold {
  version_id: string;
  is_latest: boolean;
  is_delete_marker: boolean;
  size_bytes: number;
  etag: string;
  modified: string;
}

export interface History {
  bucket: string;
  key: string;
  versions: VersionTold[];
}

export interface BucketTold {
  name: string;
  versioning: string;
  created: string;
}

export interface ObjectPage {
  folders: string[];
  entries: (VersionTold & { key: string })[];
  next: { after_key: string; after_version: string | null } | null;
}

/** What Airflow made of one DAG file. */
export interface DagFile {
  path: string;
  bucket: string;
  key: string;
  dag_ids: string[];
  error: { message: string; file: string; line: number; traceback: string } | null;
}

/** One call of the AWS endpoint. */
export interface CallLine {
  seq: number;
  at: number;
  service: string;
  operation: string;
  method: string;
  path: string;
  status: number;
  micros: number;
  request_id: string;
  access_key_id: string;
  agent: string;
}

export interface CallTold extends CallLine {
  request_headers: [string, string][];
  response_headers: [string, string][];
  request_body: string | null;
  response_body: string | null;
}

/** MWAA's own description of an environment (GetEnvironment). */
export interface MwaaEnvironment {
  Name: string;
  Arn: string;
  Status: string;
  AirflowVersion: string;
  WebserverUrl?: string;
  CreatedAt: number;
  DagS3Path: string;
  SourceBucketArn: string;
  PluginsS3Path?: string;
  PluginsS3ObjectVersion?: string;
  RequirementsS3Path?: string;
  RequirementsS3ObjectVersion?: string;
  StartupScriptS3Path?: string;
  StartupScriptS3ObjectVersion?: string;
  EnvironmentClass: string;
  MinWorkers: number;
  MaxWorkers: number;
  Schedulers: number;
  MinWebservers?: number;
  MaxWebservers?: number;
  ExecutionRoleArn: string;
  ServiceRoleArn?: string;
  KmsKey?: string;
  AirflowConfigurationOptions?: Record<string, string>;
  LoggingConfiguration?: Record<string, { Enabled?: boolean; LogLevel?: string; CloudWatchLogGroupArn?: string }>;
  NetworkConfiguration?: { SubnetIds?: string[]; SecurityGroupIds?: string[] };
  WebserverAccessMode?: string;
  WeeklyMaintenanceWindowStart?: string;
  EndpointManagement?: string;
  CeleryExecutorQueue?: string;
  Tags?: Record<string, string>;
  LastUpdate?: {
    Status?: string;
    CreatedAt?: number;
    Source?: string;
    Error?: { ErrorCode?: string; ErrorMessage?: string };
  };
}
