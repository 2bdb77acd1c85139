import { describe, expect, it, vi } from "vitest";

vi.mock("../live", () => ({ useLive: () => ({}) }));
const { requestOf } = await import("./form");

const draft = {
  name: "dev", version: "2.10.3", bucket: "b", dags: "dags", plugins: "", requirements: "r.txt", startup: "", class: "mw1.small", min: "1", max: "10", schedulers: "2",
  role: "arn:aws:iam::123456789012:role/r", window: "", options: [{ key: "core.parallelism", value: "4" }, { key: "", value: "x" }], logging: { TaskLogs: { on: true, level: "INFO" } },
};

describe("the request of the form", () => {
  it("names what was filled in and nothing else", () => {
    const request = requestOf(draft, null);
    expect(request).toMatchObject({ SourceBucketArn: "arn:aws:s3:::b", RequirementsS3Path: "r.txt", MaxWorkers: 10, AirflowConfigurationOptions: { "core.parallelism": "4" } });
    expect(request).not.toHaveProperty("PluginsS3Path");
    expect(request).toHaveProperty("NetworkConfiguration");
  });

  it("is only what changed when an environment is edited", () => {
    expect(requestOf({ ...draft, max: "5" }, draft)).toEqual({ MaxWorkers: 5 });
    expect(requestOf(draft, draft)).toEqual({});
    expect(requestOf({ ...draft, requirements: "" }, draft)).toEqual({ RequirementsS3Path: "" });
  });
});
