-- What detection knows of an alert, and what has happened to it.
ALTER TABLE public.circular_dependency_alerts
    ADD COLUMN size integer NOT NULL DEFAULT 0,
    ADD COLUMN detected boolean NOT NULL DEFAULT false,
    ADD COLUMN is_present boolean NOT NULL DEFAULT false,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT ck_alert_size CHECK (size >= 0),
    ADD CONSTRAINT ck_alert_updated_at_range
        CHECK (updated_at > '0001-01-01 00:00:00+00' AND updated_at < '9999-12-31 23:59:59.999999+00');

COMMENT ON COLUMN public.circular_dependency_alerts.size IS
    'Members of the component that the cycle stands for, as detection last saw it; 0 where detection does not keep the alert.';
COMMENT ON COLUMN public.circular_dependency_alerts.detected IS 'Whether detection keeps the alert: it found the cycle in the graph.';
COMMENT ON COLUMN public.circular_dependency_alerts.is_present IS
    'Whether the component is in the graph, as detection last saw it.';

-- Finds by member the alerts that have no members of their own.
CREATE INDEX idx_circular_deps_cycle_path
    ON public.circular_dependency_alerts USING gin (cycle_path jsonb_path_ops)
    WHERE NOT detected;

-- Sorted by code point, as every list of names is: the primary key gives the members of an alert in that order.
CREATE TABLE public.circular_dependency_alert_members (
    alert_id uuid NOT NULL,
    service_id varchar(255) COLLATE "C" NOT NULL,
    CONSTRAINT circular_dependency_alert_members_pkey PRIMARY KEY (alert_id, service_id),
    CONSTRAINT fk_alert_member_alert
        FOREIGN KEY (alert_id) REFERENCES public.circular_dependency_alerts (id) ON DELETE CASCADE,
    CONSTRAINT ck_alert_member_service_id_not_empty CHECK (service_id <> '')
);

COMMENT ON TABLE public.circular_dependency_alert_members IS
    'Business names of the members of the component that an alert stands for, as detection last saw it.';

CREATE INDEX idx_alert_members_service
    ON public.circular_dependency_alert_members (service_id, alert_id);

CREATE TABLE public.circular_dependency_alert_events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    alert_id uuid NOT NULL,
    kind text NOT NULL,
    event_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor varchar(255),
    note text NOT NULL DEFAULT '',
    status text NOT NULL,
    cycle_path jsonb NOT NULL,
    size integer NOT NULL,
    CONSTRAINT circular_dependency_alert_events_pkey PRIMARY KEY (id),
    CONSTRAINT fk_alert_event_alert
        FOREIGN KEY (alert_id) REFERENCES public.circular_dependency_alerts (id) ON DELETE CASCADE,
    CONSTRAINT ck_alert_event_kind CHECK (
        kind IN (
            'opened', 'acknowledged', 'resolved', 'reopened', 'grown', 'shrunk', 'merged', 'split', 'witness_changed',
            'gone', 'found'
        )
    ),
    CONSTRAINT ck_alert_event_status CHECK (status IN ('open', 'acknowledged', 'resolved')),
    CONSTRAINT ck_alert_event_at_range
        CHECK (event_at > '0001-01-01 00:00:00+00' AND event_at < '9999-12-31 23:59:59.999999+00')
);

COMMENT ON TABLE public.circular_dependency_alert_events IS
    'History of the alerts, in the order of id. Status, cycle_path and size are those of the alert afterwards.';
COMMENT ON COLUMN public.circular_dependency_alert_events.actor IS
    'Who acknowledged, or "detection" for what detection did; NULL where nobody knows.';

CREATE INDEX idx_alert_events_alert
    ON public.circular_dependency_alert_events (alert_id, id);

-- What happened before there was a history is not known, except when it began: one event each, with what the alert is now.
INSERT INTO public.circular_dependency_alert_events (alert_id, kind, event_at, note, status, cycle_path, size)
SELECT
    alert.id,
    'opened',
    alert.detected_at,
    COALESCE(alert.resolution_notes, ''),
    alert.status,
    alert.cycle_path,
    0
FROM public.circular_dependency_alerts AS alert
ORDER BY alert.detected_at, alert.id;

-- Open, then acknowledged, then resolved, whoever writes. Out of resolved there is one way: detection found the component again.
-- Blank is what holds nothing but ASCII white space; the service refuses more, such as the spaces of Unicode.
CREATE FUNCTION public.keep_alert_life_cycle()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    blanks CONSTANT text := E' \t\n\x0b\f\r';
    nobody CONSTANT boolean := btrim(COALESCE(NEW.acknowledged_by, ''), blanks) = '';
    broken text := 'ck_alert_life_cycle';
    wrong text;
BEGIN
    IF (NEW.status, NEW.acknowledged_by, NEW.resolution_notes)
        IS NOT DISTINCT FROM (OLD.status, OLD.acknowledged_by, OLD.resolution_notes) THEN
        RETURN NEW;
    END IF;
    IF NEW.status = 'acknowledged' AND nobody THEN
        broken := 'ck_alert_acknowledged_by';
        wrong := 'acknowledged_by must say who looks after it, and must not be blank';
    ELSIF OLD.status = 'resolved' AND NEW.status = 'resolved' THEN
        wrong := 'it is resolved, so acknowledged_by and resolution_notes stay as they are';
    ELSIF OLD.status = 'resolved' AND NEW.status IN ('open', 'acknowledged') THEN
        IF NOT (NEW.detected AND NEW.is_present AND NEW.resolution_notes IS NULL) THEN
            wrong := 'it is resolved; only detection reopens an alert, when its component is in the graph again '
                || '(detected and is_present true, resolution_notes NULL)';
        ELSIF NEW.status = 'open' AND NEW.acknowledged_by IS NOT NULL THEN
            wrong := 'an alert that is reopened as open has nobody who looks after it: set acknowledged_by to NULL';
        END IF;
    ELSIF NEW.status = 'resolved' THEN
        IF btrim(COALESCE(NEW.resolution_notes, ''), blanks) = '' THEN
            broken := 'ck_alert_resolution_notes';
            wrong := 'resolution_notes must say how it ended, and must not be blank';
        ELSIF nobody AND NEW.acknowledged_by IS DISTINCT FROM OLD.acknowledged_by THEN
            wrong := 'acknowledged_by stays, or names another, when an alert is resolved';
        END IF;
    ELSIF NEW.resolution_notes IS NOT NULL AND NEW.resolution_notes IS DISTINCT FROM OLD.resolution_notes THEN
        wrong := 'resolution_notes are written when status becomes resolved, not before';
    ELSIF OLD.status = 'acknowledged' AND NEW.status = 'open' THEN
        wrong := 'it is acknowledged and can not be open again; acknowledge it by another name to hand it over';
    ELSIF NEW.status = 'open' AND NEW.acknowledged_by IS DISTINCT FROM OLD.acknowledged_by THEN
        wrong := 'acknowledged_by is written when status becomes acknowledged, not before';
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = format('alert %s: %s', OLD.id, wrong),
            SCHEMA = TG_TABLE_SCHEMA,
            TABLE = TG_TABLE_NAME,
            CONSTRAINT = broken;
    END IF;
    RETURN NEW;
END
$$;

-- The history of what people do, by RPC or plain SQL. Detection says more of what it does than a trigger could: it writes its events
-- itself, under SET LOCAL depgraph.alert_events = 'written'. Runs with the owner's rights: who may write alerts writes their history.
CREATE FUNCTION public.log_alert_event()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind text;
BEGIN
    IF current_setting('depgraph.alert_events', true) = 'written' THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        kind := 'opened';
    ELSIF NEW.status = OLD.status AND NEW.acknowledged_by IS NOT DISTINCT FROM OLD.acknowledged_by THEN
        RETURN NULL;
    ELSIF OLD.status = 'resolved' THEN
        kind := 'reopened';
    ELSE
        kind := NEW.status;
    END IF;
    INSERT INTO public.circular_dependency_alert_events (alert_id, kind, actor, note, status, cycle_path, size)
    VALUES (
        NEW.id,
        kind,
        CASE kind WHEN 'acknowledged' THEN NEW.acknowledged_by END,
        CASE NEW.status WHEN 'resolved' THEN COALESCE(NEW.resolution_notes, '') ELSE '' END,
        NEW.status,
        NEW.cycle_path,
        NEW.size
    );
    RETURN NULL;
END
$$;

CREATE TRIGGER keep_alert_life_cycle
    BEFORE UPDATE ON public.circular_dependency_alerts
    FOR EACH ROW
    EXECUTE FUNCTION public.keep_alert_life_cycle();

CREATE TRIGGER set_updated_at
    BEFORE UPDATE ON public.circular_dependency_alerts
    FOR EACH ROW
    EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER log_alert_event
    AFTER INSERT OR UPDATE ON public.circular_dependency_alerts
    FOR EACH ROW
    EXECUTE FUNCTION public.log_alert_event();
