/** One dashboard, drawn by Grafana's own packages from answers that were asked before. */
import { type FC, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { lastValueFrom } from 'rxjs';
import * as data from '@grafana/data';
import { BarGauge, BigValue, GlobalStyles, TimeSeries } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

type Labels = Record<string, string>;
type Series = { labels: Labels; points: Array<[number, number]>; step?: number };
type Target = { refId: string; legendFormat?: string; format?: string };
type Panel = {
  id: number; type: string; title: string; collapsed?: boolean; targets?: Target[];
  gridPos: { x: number; y: number; w: number; h: number };
  transformations?: data.DataTransformerConfig[];
  fieldConfig: data.FieldConfigSource; options: Record<string, any>;
};
type Picture = {
  board: { title: string; panels: Panel[] }; answers: Record<string, Record<string, Series[]>>;
  choices: Array<[string, string]>; variables: Labels; from: number; to: number; dark: boolean;
};

declare const PICTURE: Picture;
const WIDTH = 1600, CELL = 30, GAP = 8, EDGE = 16, HEADER = 96, TITLE = 36, PAD = 8;
const theme = data.createTheme({ colors: { mode: PICTURE.dark ? 'dark' : 'light' } });
const timeZone = 'utc';
// "2 minutes ago" is seen from the end of the range.
Date.now = () => PICTURE.to;

/** Grafana registers the properties of a field in its core, from these processors of its packages. */
const STANDARD: Record<string, (value: any, context: data.FieldOverrideContext, settings?: any) => any> = {
  unit: data.unitOverrideProcessor, displayName: data.displayNameOverrideProcessor,
  min: data.numberOverrideProcessor, max: data.numberOverrideProcessor,
  decimals: data.numberOverrideProcessor, noValue: data.stringOverrideProcessor,
  thresholds: data.thresholdsOverrideProcessor, mappings: data.valueMappingsOverrideProcessor,
  links: data.dataLinksOverrideProcessor, color: data.identityOverrideProcessor,
};
/** The settings that the panels' plug-ins add, with the defaults of those plug-ins. */
const CUSTOM: Record<string, unknown> = {
  drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none',
  showPoints: 'auto', pointSize: 5, spanNulls: false, stacking: { mode: 'none', group: 'A' },
  axisPlacement: 'auto', axisColorMode: 'text', axisBorderShow: false, barAlignment: 0,
  barWidthFactor: 0.6, scaleDistribution: { type: 'linear' }, lineStyle: { fill: 'solid' },
  hideFrom: { legend: false, tooltip: false, viz: false }, thresholdsStyle: { mode: 'off' },
  width: undefined, cellOptions: { type: 'auto' }, align: 'auto', inspect: false, filterable: false,
};

const property = (path: string, isCustom: boolean, process: unknown) => ({
  id: isCustom ? `custom.${path}` : path, path, isCustom, process, name: path, description: path,
  editor: () => null, override: () => null, shouldApply: () => true, settings: {},
});
const registry = new data.Registry<any>(() => [
  ...Object.entries(STANDARD).map(([path, process]) => property(path, false, process)),
  ...Object.keys(CUSTOM).map((path) => property(path, true, data.identityOverrideProcessor)),
]);
data.standardFieldConfigEditorRegistry.setInit(() => registry.list());
data.standardTransformersRegistry.setInit(() =>
  [...new Map(Object.values(data.standardTransformers).map((one: any) => [one.id, one])).values()].map((one: any) => ({
    id: one.id, name: one.name, transformation: () => Promise.resolve(one), editor: () => null,
  })) as any);
data.locationUtil.initialize({
  config: { appSubUrl: '' } as any, getVariablesUrlParams: () => ({}),
  getTimeRangeForUrl: () => ({ from: `${PICTURE.from}`, to: `${PICTURE.to}` }),
});

/** Fill variables as Grafana's template service does, in titles and links. */
const replaceVariables = (text: string, scoped?: data.ScopedVars): string =>
  text.replace(/\$\{([\w.]+)(?::(\w+))?\}|\$(\w+)/g, (whole, braced, format, plain) => {
    const [name, ...path] = (braced ?? plain).split('.');
    if (name === '__url_time_range') return `from=${PICTURE.from}&to=${PICTURE.to}`;
    const context = scoped?.__dataContext?.value;
    if (name === '__value' && context) return `${context.field.values[context.rowIndex]}`;
    if (name === '__data' && context) {
      const fields: any = data.getFieldDisplayValuesProxy({ frame: context.frame, rowIndex: context.rowIndex });
      return fields[path[1]] === undefined ? whole : `${fields[path[1]]}`;
    }
    const value = PICTURE.variables[name];
    if (value === undefined) return whole;
    return format === 'queryparam' ? `var-${name}=${encodeURIComponent(value)}` : value;
  });

const legend = (target: Target, labels: Labels): string =>
  (target.legendFormat ?? '').replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? '');

const field = (name: string, type: data.FieldType, values: unknown[], rest = {}): data.Field =>
  ({ name, type, values, config: {}, ...rest }) as data.Field;

/** The frames that Grafana's Prometheus data source makes of an answer. */
function frames(panel: Panel): data.DataFrame[] {
  const answers = PICTURE.answers[panel.id] ?? {};
  return (panel.targets ?? []).flatMap((target) => {
    const series = answers[target.refId] ?? [];
    if (target.format === 'table') {
      return series.length ? [rows(target, series, (panel.targets ?? []).length > 1)] : [];
    }
    return series.map(({ labels, points, step }) => {
      const config = { displayNameFromDS: legend(target, labels) };
      const time = field('Time', data.FieldType.time, points.map(([at]) => 1000 * at), { config: { interval: step && 1000 * step } });
      const value = field('Value', data.FieldType.number, points.map(([, of]) => of), { labels, config });
      return { refId: target.refId, fields: [time, value], length: points.length };
    });
  });
}

function rows(target: Target, series: Series[], several: boolean): data.DataFrame {
  const names = [...new Set(series.flatMap(({ labels }) => Object.keys(labels)))].sort();
  const first = series.map(({ points }) => points[0]);
  return {
    refId: target.refId, length: series.length,
    fields: [
      field('Time', data.FieldType.time, first.map(([at]) => 1000 * at)),
      ...names.map((name) => field(name, data.FieldType.string, series.map(({ labels }) => labels[name] ?? ''))),
      field(several ? `Value #${target.refId}` : 'Value', data.FieldType.number, first.map(([, of]) => of)),
    ],
  };
}

/** Grafana's pipeline: transformations, then defaults and overrides. */
async function prepared(panel: Panel): Promise<data.DataFrame[]> {
  const raw = frames(panel);
  const made = await lastValueFrom(data.transformDataFrame(panel.transformations ?? [], raw));
  const { defaults, overrides } = panel.fieldConfig;
  const custom = { ...CUSTOM, ...(defaults.custom as object) };
  const color = defaults.color ?? { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' };
  const series = data.applyFieldOverrides({
    data: made, fieldConfig: { defaults: { ...defaults, custom, color }, overrides },
    fieldConfigRegistry: registry as any, replaceVariables, theme, timeZone,
  });
  data.cacheFieldDisplayNames(series);
  return series;
}

const range = data.rangeUtil.convertRawToRange({
  from: data.dateTimeForTimeZone(timeZone, PICTURE.from), to: data.dateTimeForTimeZone(timeZone, PICTURE.to),
});

type Drawn = { panel: Panel; series: data.DataFrame[]; width: number; height: number };

const Numbers: FC<Drawn> = ({ panel, series, width, height }) => {
  const values = data.getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, data: series,
    replaceVariables, theme, timeZone,
  });
  const isStat = panel.type === 'stat';
  const tall = isStat ? height : Math.min(46, height / Math.max(1, values.length));
  const alignmentFactors = data.getDisplayValueAlignmentFactors(values);
  return values.map(({ display, field: config, view, colIndex }, index) => isStat
    ? <BigValue key={index} theme={theme} width={width} height={tall} value={{ ...display, title: undefined }}
        colorMode={panel.options.colorMode} graphMode={panel.options.graphMode} justifyMode={'auto' as any} />
    : <BarGauge key={index} theme={theme} width={width} height={tall - 4} value={display} field={config}
        display={view?.getFieldDisplayProcessor(colIndex ?? 0)} orientation={panel.options.orientation}
        displayMode={panel.options.displayMode} valueDisplayMode={panel.options.valueMode}
        showUnfilled={panel.options.showUnfilled} namePlacement={panel.options.namePlacement} alignmentFactors={alignmentFactors} itemSpacing={4} />);
};

/** Grafana's panel draws no line over steps without a point; this part of its packages sees to the first series only. */
const Lines: FC<Drawn> = ({ panel, series, width, height }) =>
  <TimeSeries frames={series.map((frame) => data.applyNullInsertThreshold({ frame }))} timeRange={range} timeZone={timeZone} width={width} height={height}
    legend={panel.options.legend} options={panel.options} />;

const Rows: FC<Drawn> = ({ panel, series, width, height }) =>
  <TableNG data={series[0]} width={width} height={height} timeRange={range} fieldConfig={panel.fieldConfig}
    sortBy={panel.options.sortBy} disableSanitizeHtml={false} getActions={() => []}
    transparent={false} frozenColumns={0} cellHeight={'sm' as any} noValue="-" showTypeIcons={false} />;

/** Grafana's state timeline is part of its core and in no package: this one is our own. */
const States: FC<Drawn> = ({ panel, series, width, height }) => {
  const named = series.map((frame) => [data.getFieldDisplayName(frame.fields[1], frame, series), frame] as const);
  const side = Math.min(380, width / 2), tall = Math.min(26, height / Math.max(1, named.length));
  const x = (at: number) => side + (width - side) * (at - PICTURE.from) / (PICTURE.to - PICTURE.from);
  return <svg width={width} height={height}>
    {named.map(([name, { fields: [time, value] }], row) => <g key={name}>
      <text x={side - 8} y={tall * (row + 0.65)} textAnchor="end" fontSize={12}
        fill={theme.colors.text.primary}>{name}</text>
      {time.values.map((at: number, index: number) => <rect key={index} x={x(at)} y={tall * row + 2}
        width={Math.max(1, x(time.values[index + 1] ?? PICTURE.to) - x(at) + 0.5)} height={tall - 4}
        fill={value.display!(value.values[index]).color} opacity={panel.fieldConfig.defaults.custom.fillOpacity / 100} />)}
    </g>)}
  </svg>;
};

const KINDS: Record<string, FC<Drawn>> = {
  stat: Numbers, bargauge: Numbers, table: Rows, timeseries: Lines, 'state-timeline': States,
};

function box({ gridPos: { x, y, w, h } }: Panel) {
  const column = (WIDTH - 2 * EDGE + GAP) / 24;
  return { left: EDGE + x * column, top: HEADER + y * (CELL + GAP), width: w * column - GAP, height: h * (CELL + GAP) - GAP };
}

const Framed: FC<{ panel: Panel; children: ReactNode }> = ({ panel, children }) => {
  const { colors, shape } = theme;
  const frame = { ...box(panel), position: 'absolute' as const, overflow: 'hidden' };
  if (panel.type === 'row') return <h4 style={{ ...frame, paddingTop: 8 }}>{panel.collapsed ? '›' : '⌄'} {panel.title}</h4>;
  const border = { background: colors.background.primary, border: `1px solid ${colors.border.weak}`, borderRadius: shape.radius.default };
  const title = { height: TITLE, padding: '8px 8px 0', fontWeight: 500, whiteSpace: 'nowrap', overflow: 'hidden', textOverflow: 'ellipsis' } as const;
  return <section data-panel={panel.id} style={{ ...frame, ...border }}>
    <div style={title} title={panel.title}>{panel.title}</div>
    <div style={{ padding: `0 ${PAD}px` }}>{children}</div>
  </section>;
};

async function content(panel: Panel): Promise<ReactNode> {
  if (panel.type === 'row') return null;
  const { width, height } = box(panel);
  const series = await prepared(panel);
  if (!series.some((frame) => frame.length)) {
    const text = panel.fieldConfig.defaults.noValue;
    return <div style={{ padding: '24px 16px', textAlign: 'center', color: theme.colors.text.secondary }}>
      {text && text !== '-' ? text : 'No data'}</div>;
  }
  const Kind = KINDS[panel.type];
  return <Kind panel={panel} series={series} width={width - 2 * PAD - 2} height={height - TITLE - PAD} />;
}

async function main() {
  const { board, choices } = PICTURE;
  const drawn = await Promise.all(board.panels.map(async (panel) => <Framed key={panel.id} panel={panel}>{await content(panel)}</Framed>));
  const bottom = Math.max(...board.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  const chip = { border: `1px solid ${theme.colors.border.medium}`, padding: '3px 8px', marginRight: 8, borderRadius: 2 };
  document.body.style.background = theme.colors.background.canvas;
  createRoot(document.getElementById('root')!).render(
    <data.ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <main style={{ position: 'relative', width: WIDTH, height: HEADER + bottom * (CELL + GAP) + GAP }}>
        <h3 style={{ padding: '16px 16px 8px' }}>{board.title}</h3>
        <div style={{ padding: '0 16px' }}>
          {choices.map(([label, text]) => <span key={label} style={chip}>
            <span style={{ color: theme.colors.text.secondary }}>{label}</span> {text}</span>)}
        </div>
        {drawn}
      </main>
    </data.ThemeContext.Provider>);
}

void main().catch((error) => { document.body.textContent = `failed: ${error?.stack ?? error}`; });
