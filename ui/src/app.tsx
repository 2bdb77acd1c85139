// The frame of every page: where one is, where one can go, and whether windtunnel still answers.

import { applyMode, Mode } from "@cloudscape-design/global-styles";
import AppLayout from "@cloudscape-design/components/app-layout";
import Alert from "@cloudscape-design/components/alert";
import BreadcrumbGroup from "@cloudscape-design/components/breadcrumb-group";
import SideNavigation, { type SideNavigationProps } from "@cloudscape-design/components/side-navigation";
import TopNavigation from "@cloudscape-design/components/top-navigation";
import I18nProvider from "@cloudscape-design/components/i18n";
import messages from "@cloudscape-design/components/i18n/messages/all.en";
import { lazy, Suspense, useEffect, useState } from "react";
import { useLocation } from "wouter";
import { get } from "./api";
import { useConnected, useLive } from "./live";
import { chosenMode, keepMode } from "./mode";
import { Notices } from "./parts/notices";
import { Waiting } from "./parts/waiting";
import type { Overview } from "./wire";

const Environments = lazy(() => import("./views/environments"));
const Create = lazy(() => import("./views/form"));
const S3 = lazy(() => import("./views/s3"));
const Activity = lazy(() => import("./views/activity"));

export interface PageProps {
  name: string;
  overview: Overview | undefined;
  /** What follows the page's own name in the path, decoded. */
  rest: string;
}

/** The pages of one environment: path, title, view. */
const PAGES: { path: string; title: string; view: React.ComponentType<PageProps> }[] = [
  { path: "details", title: "Details", view: lazy(() => import("./views/details")) },
  { path: "dags", title: "DAGs", view: lazy(() => import("./views/dags")) },
  { path: "timeline", title: "Timeline", view: lazy(() => import("./views/timeline")) },
  { path: "code", title: "Code", view: lazy(() => import("./views/code")) },
  { path: "logs", title: "Logs", view: lazy(() => import("./views/logs")) },
  { path: "monitoring", title: "Monitoring", view: lazy(() => import("./views/monitoring")) },
  { path: "workers", title: "Workers", view: lazy(() => import("./views/workers")) },
  { path: "requirements", title: "Requirements", view: lazy(() => import("./views/requirements")) },
  { path: "plugins", title: "Plugins", view: lazy(() => import("./views/plugins")) },
  { path: "startup", title: "Startup script", view: lazy(() => import("./views/startup")) },
  { path: "access", title: "Access", view: lazy(() => import("./views/access")) },
  { path: "tags", title: "Tags", view: lazy(() => import("./views/tags")) },
];

export const about = (event: { type: string }) => event.type === "EnvironmentChanged" || event.type === "LaunchReported";

export function App() {
  const [path, go] = useLocation();
  const [mode, setMode] = useState(chosenMode);
  const [navigation, setNavigation] = useState(() => window.innerWidth > 900);
  const connected = useConnected();
  const overview = useLive((signal) => get<Overview>("status", signal), [], about);
  const place = placeOf(path);
  useEffect(() => {
    document.title = [...place.crumbs.slice(1).reverse().map((crumb) => crumb.text), "windtunnel"].join(" · ");
  });
  const follow = (event: { detail: { href?: string; external?: boolean }; preventDefault: () => void }) => {
    const { href, external } = event.detail;
    if (external || !href?.startsWith("/")) return;
    event.preventDefault();
    go(href);
    if (window.innerWidth <= 900) setNavigation(false);
  };
  const switchMode = () => {
    const next = mode === "dark" ? "light" : "dark";
    applyMode(next === "dark" ? Mode.Dark : Mode.Light);
    keepMode(next);
    setMode(next);
  };
  return (
    <I18nProvider locale="en" messages={[messages]}>
      <div id="top">
        <TopNavigation
          identity={{ href: "/", title: "windtunnel", onFollow: (event) => { event.preventDefault(); go("/"); } }}
          utilities={[
            { type: "button", text: connected ? "Live" : "Not connected", iconName: connected ? "status-positive" : "status-warning", ariaLabel: connected ? "Live, connected to windtunnel" : "Not connected", onClick: () => overview.reload() },
            { type: "button", text: mode === "dark" ? "Light" : "Dark", ariaLabel: `Switch to ${mode === "dark" ? "light" : "dark"} mode`, onClick: switchMode },
          ]}
        />
      </div>
      <AppLayout
        headerSelector="#top"
        toolsHide
        navigationOpen={navigation}
        onNavigationChange={({ detail }) => setNavigation(detail.open)}
        navigationWidth={240}
        navigation={<SideNavigation activeHref={place.active} onFollow={follow} items={items(place.name, overview.data)} />}
        breadcrumbs={<BreadcrumbGroup items={place.crumbs} onFollow={follow} />}
        notifications={<Notices />}
        maxContentWidth={place.wide ? Number.MAX_VALUE : 1500}
        contentType="default"
        ariaLabels={{ navigation: "Pages", navigationClose: "Close pages", navigationToggle: "Open pages", notifications: "Notices" }}
        content={
          <Suspense fallback={<Waiting />}>
            {!connected && <Alert type="warning">windtunnel does not answer. This page goes on by itself when it runs again.</Alert>}
            <View place={place} overview={overview.data} />
          </Suspense>
        }
      />
    </I18nProvider>
  );
}

interface Place {
  kind: "environments" | "create" | "edit" | "environment" | "s3" | "activity" | "nowhere";
  name: string;
  page: string;
  rest: string;
  active: string;
  wide: boolean;
  crumbs: { text: string; href: string }[];
}

function placeOf(path: string): Place {
  const [first = "", name = "", page = "details", ...rest] = path.split("/").filter(Boolean).map(decodeURIComponent);
  const home = { text: "Environments", href: "/" };
  const bare = { name: "", page: "", rest: "", wide: false, active: path };
  if (first === "") return { ...bare, kind: "environments", active: "/", crumbs: [home] };
  if (first === "create") return { ...bare, kind: "create", active: "/", crumbs: [home, { text: "Create environment", href: path }] };
  if (first === "activity") return { ...bare, kind: "activity", wide: true, crumbs: [{ text: "windtunnel", href: "/" }, { text: "Activity", href: path }] };
  if (first === "s3") {
    const crumbs = [{ text: "windtunnel", href: "/" }, { text: "S3 browser", href: "/s3" }];
    if (name) crumbs.push({ text: name, href: `/s3/${name}` });
    return { ...bare, kind: "s3", name: "", page: name, active: "/s3", crumbs };
  }
  const own = `/environments/${encodeURIComponent(name)}`;
  const found = PAGES.find((one) => one.path === page);
  if (first === "environments" && name && (found || page === "edit")) {
    const title = found?.title ?? "Edit";
    const crumbs = [home, { text: name, href: `${own}/details` }, { text: title, href: `${own}/${page}` }];
    const last = rest[0];
    if (last) crumbs.push({ text: last, href: path });
    return { kind: found ? "environment" : "edit", name, page, rest: rest.join("/"), active: `${own}/${page}`, wide: ["logs", "code", "timeline"].includes(page), crumbs };
  }
  return { ...bare, kind: "nowhere", crumbs: [home] };
}

function items(name: string, overview: Overview | undefined): SideNavigationProps.Item[] {
  const links: SideNavigationProps.Item[] = [{ type: "link", text: "Environments", href: "/" }];
  const shown = name || (overview?.environments.length === 1 ? overview.environments[0]?.name : "");
  if (shown) {
    const own = `/environments/${encodeURIComponent(shown)}`;
    const pages = PAGES.map((page) => ({ type: "link" as const, text: page.title, href: `${own}/${page.path}` }));
    links.push({ type: "section-group", title: shown, items: pages });
  }
  links.push({ type: "divider" }, { type: "link", text: "S3 browser", href: "/s3" }, { type: "link", text: "Activity", href: "/activity" });
  return links;
}

function View({ place, overview }: { place: Place; overview: Overview | undefined }) {
  switch (place.kind) {
    case "environments":
      return <Environments overview={overview} />;
    case "create":
      return <Create name="" overview={overview} />;
    case "edit":
      return <Create name={place.name} overview={overview} />;
    case "s3":
      return <S3 bucket={place.page} />;
    case "activity":
      return <Activity />;
    case "environment": {
      const Page = PAGES.find((page) => page.path === place.page)?.view;
      return Page ? <Page key={place.name + place.page} name={place.name} overview={overview} rest={place.rest} /> : null;
    }
    case "nowhere":
      return <Alert type="warning" header="There is no such page">The list of environments is a good place to begin again.</Alert>;
  }
}
