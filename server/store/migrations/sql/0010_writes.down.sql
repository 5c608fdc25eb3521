-- As migration 0006 made it.
CREATE OR REPLACE FUNCTION public.log_alert_event()
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

COMMENT ON COLUMN public.circular_dependency_alert_events.actor IS
    'Who acknowledged, or "detection" for what detection did; NULL where nobody knows.';

DROP FUNCTION public.record_write(
    text, text, integer, integer, integer, integer, integer, integer, integer, integer
);

DROP TABLE public.writes;
