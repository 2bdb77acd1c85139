// Creates or changes an environment, with the steps of AWS's form. What is wrong with it MWAA's API says.

import Alert from "@cloudscape-design/components/alert";
import AttributeEditor from "@cloudscape-design/components/attribute-editor";
import Button from "@cloudscape-design/components/button";
import ColumnLayout from "@cloudscape-design/components/column-layout";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Toggle from "@cloudscape-design/components/toggle";
import Wizard from "@cloudscape-design/components/wizard";
import { useEffect, useState } from "react";
import { useLocation } from "wouter";
import { get, mwaa } from "../api";
import { useLive } from "../live";
import { Plain, Trouble } from "../parts/bits";
import { done } from "../parts/notices";
import { Waiting } from "../parts/waiting";
import type { BucketTold, MwaaEnvironment, Overview } from "../wire";

const MODULES = ["DagProcessingLogs", "SchedulerLogs", "TaskLogs", "WebserverLogs", "WorkerLogs"];
const LEVELS = ["CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG"];
const CLASSES = ["mw1.micro", "mw1.small", "mw1.medium", "mw1.large", "mw1.xlarge", "mw1.2xlarge"];

interface Draft {
  name: string;
  version: string;
  bucket: string;
  dags: string;
  plugins: string;
  requirements: string;
  startup: string;
  class: string;
  min: string;
  max: string;
  schedulers: string;
  role: string;
  window: string;
  logging: Record<string, { on: boolean; level: string }>;
  options: { key: string; value: string }[];
}

const EMPTY: Draft = {
  name: "", version: "", bucket: "", dags: "dags", plugins: "", requirements: "", startup: "", class: "mw1.small", min: "1", max: "10", schedulers: "2",
  role: "arn:aws:iam::123456789012:role/windtunnel", window: "", options: [],
  logging: Object.fromEntries(MODULES.map((module) => [module, { on: module === "TaskLogs", level: "INFO" }])),
};

function draftOf(it: MwaaEnvironment): Draft {
  return {
    name: it.Name, version: it.AirflowVersion, bucket: it.SourceBucketArn.split(":").pop() ?? "", dags: it.DagS3Path, plugins: it.PluginsS3Path ?? "",
    requirements: it.RequirementsS3Path ?? "", startup: it.StartupScriptS3Path ?? "", class: it.EnvironmentClass, min: String(it.MinWorkers), max: String(it.MaxWorkers),
    schedulers: String(it.Schedulers), role: it.ExecutionRoleArn, window: it.WeeklyMaintenanceWindowStart ?? "",
    options: Object.entries(it.AirflowConfigurationOptions ?? {}).map(([key, value]) => ({ key, value })),
    logging: Object.fromEntries(MODULES.map((module) => [module, { on: it.LoggingConfiguration?.[module]?.Enabled ?? false, level: it.LoggingConfiguration?.[module]?.LogLevel ?? "INFO" }])),
  };
}

/** The request that AWS's own form would make of it. */
export function requestOf(draft: Draft, before: Draft | null): Record<string, unknown> {
  const number = (text: string) => (text.trim() === "" ? undefined : Number(text));
  const file = (path: string, was: string | undefined) => (path.trim() === "" && !was ? undefined : path.trim());
  const body: Record<string, unknown> = {
    AirflowVersion: draft.version || undefined,
    SourceBucketArn: draft.bucket ? `arn:aws:s3:::${draft.bucket}` : undefined,
    DagS3Path: draft.dags,
    PluginsS3Path: file(draft.plugins, before?.plugins),
    RequirementsS3Path: file(draft.requirements, before?.requirements),
    StartupScriptS3Path: file(draft.startup, before?.startup),
    EnvironmentClass: draft.class,
    MinWorkers: number(draft.min),
    MaxWorkers: number(draft.max),
    Schedulers: number(draft.schedulers),
    ExecutionRoleArn: draft.role,
    WeeklyMaintenanceWindowStart: draft.window || undefined,
    AirflowConfigurationOptions: Object.fromEntries(draft.options.filter((option) => option.key).map((option) => [option.key, option.value])),
    LoggingConfiguration: Object.fromEntries(Object.entries(draft.logging).map(([module, one]) => [module, { Enabled: one.on, LogLevel: one.level }])),
  };
  if (!before) body.NetworkConfiguration = { SubnetIds: ["subnet-0a1b2c3d4e5f60718", "subnet-18f7e6d5c4b3a2910"], SecurityGroupIds: ["sg-0a1b2c3d4e5f60718"] };
  for (const name of Object.keys(body)) {
    const same = before !== null && JSON.stringify(body[name]) === JSON.stringify(requestOf(before, null)[name]);
    if (body[name] === undefined || same) delete body[name];
  }
  return body;
}

export default function Form({ name, overview }: { name: string; overview: Overview | undefined }) {
  const [, go] = useLocation();
  const [draft, setDraft] = useState<Draft>(EMPTY);
  const [before, setBefore] = useState<Draft | null>(null);
  const [step, setStep] = useState(0);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error>();
  const buckets = useLive((signal) => get<BucketTold[]>("buckets", signal), []);
  const it = useLive((signal) => (name ? mwaa.get(name, signal) : Promise.resolve(null)), [name]);
  const loaded = it.data;
  useEffect(() => {
    if (!loaded) return;
    setBefore((kept) => kept ?? draftOf(loaded));
    setDraft((kept) => (kept.name ? kept : draftOf(loaded)));
  }, [loaded]);
  useEffect(() => {
    const [first] = overview?.environments ?? [];
    if (!name && first) setDraft((kept) => ({ ...kept, version: kept.version || first.airflow_version, bucket: kept.bucket || first.bucket }));
  }, [name, overview]);
  if (name && !before) return it.error ? <Trouble error={it.error} what={`Environment ${name} cannot be changed`} /> : <Waiting />;
  const set = (change: Partial<Draft>) => setDraft((kept) => ({ ...kept, ...change }));
  const text = (label: string, member: keyof Draft, more: { description?: string; disabled?: boolean; type?: "number" } = {}) => (
    <FormField label={label} description={more.description}>
      <Input value={String(draft[member])} disabled={more.disabled} type={more.type ?? "text"} onChange={({ detail }) => set({ [member]: detail.value })} />
    </FormField>
  );
  const choice = (label: string, member: "class" | "version" | "bucket", values: string[]) => (
    <FormField label={label}>
      <Select selectedOption={draft[member] ? { value: draft[member], label: draft[member] } : null} options={[...new Set([draft[member], ...values])].filter(Boolean).map((value) => ({ value, label: value }))} onChange={({ detail }) => set({ [member]: detail.selectedOption.value ?? "" })} placeholder="Choose" expandToViewport />
    </FormField>
  );
  const request = requestOf(draft, before);
  const submit = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await (before ? mwaa.update(name, request) : mwaa.create(draft.name, request));
      done(before ? `${name} is being updated` : `${draft.name} is being created`);
      go(`/environments/${encodeURIComponent(draft.name)}/details`);
    } catch (caught) {
      setError(caught as Error);
    }
    setBusy(false);
  };
  const versions = ["2.9.2", "2.10.1", "2.10.3", "2.11.0", "2.11.2", "3.0.6", "3.2.1", "3.3.1"];
  const wrong = error ? <Alert type="error" header="MWAA refused it">{error.message}</Alert> : null;
  return (
    <Wizard
      activeStepIndex={step}
      onNavigate={({ detail }) => setStep(detail.requestedStepIndex)}
      onCancel={() => go(before ? `/environments/${encodeURIComponent(name)}/details` : "/")}
      onSubmit={() => void submit()}
      isLoadingNextStep={busy}
      allowSkipTo
      submitButtonText={before ? "Save" : "Create environment"}
      i18nStrings={{
        stepNumberLabel: (number) => `Step ${number}`, collapsedStepsLabel: (number, count) => `Step ${number} of ${count}`, skipToButtonLabel: (to) => `Skip to ${to.title}`,
        navigationAriaLabel: "Steps", cancelButton: "Cancel", previousButton: "Previous", nextButton: "Next", optional: "optional",
      }}
      steps={[
        {
          title: "Details",
          content: (
            <SpaceBetween size="l">
              {wrong}
              <Container header={<Header variant="h2">Environment</Header>}>
                <ColumnLayout columns={2}>
                  {text("Name", "name", { disabled: before !== null, description: "Letters, digits, - and _, beginning with a letter." })}
                  {choice("Airflow version", "version", versions)}
                  {text("Weekly maintenance window", "window", { description: "SUN:03:30; empty leaves it to MWAA." })}
                  {text("Execution role", "role")}
                </ColumnLayout>
              </Container>
              <Container header={<Header variant="h2">DAG code in Amazon S3</Header>}>
                <ColumnLayout columns={2}>
                  {choice("Bucket", "bucket", (buckets.data ?? []).map((bucket) => bucket.name))}
                  {text("DAGs folder", "dags")}
                  {text("Plugins file", "plugins", { description: "A key such as plugins.zip; empty for none." })}
                  {text("Requirements file", "requirements")}
                  {text("Startup script", "startup")}
                </ColumnLayout>
              </Container>
            </SpaceBetween>
          ),
        },
        {
          title: "Class, logging and options",
          content: (
            <SpaceBetween size="l">
              {wrong}
              <Container header={<Header variant="h2">Environment class</Header>}>
                <ColumnLayout columns={2}>
                  {choice("Class", "class", CLASSES)}
                  {text("Schedulers", "schedulers", { type: "number" })}
                  {text("Minimum workers", "min", { type: "number" })}
                  {text("Maximum workers", "max", { type: "number" })}
                </ColumnLayout>
              </Container>
              <Container header={<Header variant="h2">Logging</Header>}>
                <SpaceBetween size="s">
                  {MODULES.map((module) => {
                    const one = draft.logging[module] ?? { on: false, level: "INFO" };
                    const change = (to: Partial<typeof one>) => set({ logging: { ...draft.logging, [module]: { ...one, ...to } } });
                    return (
                      <SpaceBetween key={module} direction="horizontal" size="m" alignItems="center">
                        <Toggle checked={one.on} onChange={({ detail }) => change({ on: detail.checked })}>{module.replace(/Logs$/, "")}</Toggle>
                        <Select ariaLabel={`Level of ${module}`} disabled={!one.on} selectedOption={{ value: one.level, label: one.level }} options={LEVELS.map((value) => ({ value, label: value }))} onChange={({ detail }) => change({ level: detail.selectedOption.value ?? "INFO" })} expandToViewport />
                      </SpaceBetween>
                    );
                  })}
                </SpaceBetween>
              </Container>
              <Container header={<Header variant="h2">Airflow configuration options</Header>}>
                <AttributeEditor
                  items={draft.options}
                  addButtonText="Add option"
                  removeButtonText="Remove"
                  empty="None; Airflow runs with MWAA's defaults."
                  onAddButtonClick={() => set({ options: [...draft.options, { key: "", value: "" }] })}
                  onRemoveButtonClick={({ detail }) => set({ options: draft.options.filter((_, at) => at !== detail.itemIndex) })}
                  definition={[
                    { label: "Option", control: (item, at) => <Input value={item.key} placeholder="core.parallelism" onChange={({ detail }) => set({ options: draft.options.map((one, index) => (index === at ? { ...one, key: detail.value } : one)) })} /> },
                    { label: "Value", control: (item, at) => <Input value={item.value} onChange={({ detail }) => set({ options: draft.options.map((one, index) => (index === at ? { ...one, value: detail.value } : one)) })} /> },
                  ]}
                />
              </Container>
            </SpaceBetween>
          ),
        },
        {
          title: before ? "Review and save" : "Review and create",
          content: (
            <SpaceBetween size="l">
              {wrong}
              <Container header={<Header variant="h2" actions={<Button onClick={() => setStep(0)}>Edit</Button>} description={before ? "UpdateEnvironment, with what is changed" : "CreateEnvironment"}>The request</Header>}>
                <Plain label="Request" text={JSON.stringify({ Name: draft.name, ...request }, null, 2)} />
              </Container>
            </SpaceBetween>
          ),
        },
      ]}
    />
  );
}
