import { describe, expect, it, vi } from "vitest";

vi.mock("../live", () => ({ useLive: () => ({}) }));
const { requirementName, resolved } = await import("./requirements");

describe("requirements", () => {
  it("knows the package of a line, as installers do", () => {
    expect(requirementName("Cowsay [x] >= 6 ; python_version > '3'")).toBe("cowsay");
    expect(requirementName("apache_airflow.providers-http==1 # why")).toBe("apache-airflow-providers-http");
    expect(requirementName("--constraint x.txt")).toBe("");
    expect(requirementName("# only words")).toBe("");
  });

  it("reads what was resolved", () => {
    expect(resolved("# words\ncowsay==6.1\napache-airflow[celery]==2.10.3 ; python_version\n")).toEqual([
      { name: "cowsay", version: "6.1" },
      { name: "apache-airflow", version: "2.10.3" },
    ]);
  });
});
