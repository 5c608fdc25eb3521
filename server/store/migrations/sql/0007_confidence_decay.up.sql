-- What a source reported, kept while confidence_score holds a decayed value. NULL for every row there is, so adding it writes none; the
-- constraint and the index read the table once.
ALTER TABLE public.service_dependencies
    ADD COLUMN reported_confidence double precision,
    ADD CONSTRAINT ck_reported_confidence_bounds
        CHECK (reported_confidence > confidence_score AND reported_confidence <= 1);

COMMENT ON COLUMN public.service_dependencies.reported_confidence IS
    'The confidence as reported, while confidence_score holds what is left of it; NULL while that is as reported.';

-- What decays no more is found by it, without a look at the rest.
CREATE INDEX idx_deps_decayed
    ON public.service_dependencies (discovery_source)
    WHERE reported_confidence IS NOT NULL;

-- Half of it is left after each half-life, and none of what is as good as none: PostgreSQL refuses a result too small for a number.
-- No search_path, so that the planner may inline it.
CREATE FUNCTION public.decayed_confidence(reported double precision, age interval, half_life interval)
RETURNS double precision
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN reported < 1e-9 THEN 0
        ELSE reported * power(
            0.5::double precision,
            LEAST(GREATEST(date_part('epoch', age) / date_part('epoch', half_life), 0), 60)
        )
    END
$$;

COMMENT ON FUNCTION public.decayed_confidence(double precision, interval, interval) IS
    'What is left of a reported confidence: reported * 0.5 ^ (age / half_life).';

-- Whoever observes a dependency again makes it fresh, with the confidence reported; whoever gives another confidence has reported that.
-- SET LOCAL depgraph.staleness says that a writer means the row just as it writes it: 'given' for one that always gives both columns,
-- whose values count even where they equal what stands there, 'swept' for the sweeper, whose confidence is not a report.
CREATE FUNCTION public.freshen_when_observed()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    meant CONSTANT text := COALESCE(current_setting('depgraph.staleness', true), '');
    is_later CONSTANT boolean := NEW.last_observed_at > OLD.last_observed_at;
BEGIN
    IF meant = 'swept' THEN
        RETURN NEW;
    END IF;
    IF is_later AND meant <> 'given' AND OLD.is_stale AND NEW.is_stale THEN
        NEW.is_stale = false;
    END IF;
    IF NEW.reported_confidence IS NOT NULL AND (is_later OR NEW.confidence_score <> OLD.confidence_score) THEN
        IF meant <> 'given' AND NEW.confidence_score = OLD.confidence_score THEN
            NEW.confidence_score = NEW.reported_confidence;
        END IF;
        NEW.reported_confidence = NULL;
    END IF;
    RETURN NEW;
END
$$;

-- Before set_updated_at, which compares what comes out of it: triggers fire in the order of their names.
CREATE TRIGGER freshen_when_observed
    BEFORE UPDATE ON public.service_dependencies
    FOR EACH ROW
    WHEN (OLD.is_stale OR OLD.reported_confidence IS NOT NULL)
    EXECUTE FUNCTION public.freshen_when_observed();
