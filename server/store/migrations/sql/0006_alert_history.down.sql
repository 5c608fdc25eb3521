DROP TRIGGER log_alert_event ON public.circular_dependency_alerts;

DROP TRIGGER set_updated_at ON public.circular_dependency_alerts;

DROP TRIGGER keep_alert_life_cycle ON public.circular_dependency_alerts;

DROP FUNCTION public.log_alert_event();

DROP FUNCTION public.keep_alert_life_cycle();

DROP TABLE public.circular_dependency_alert_events;

DROP TABLE public.circular_dependency_alert_members;

DROP INDEX public.idx_circular_deps_cycle_path;

ALTER TABLE public.circular_dependency_alerts
    DROP COLUMN size,
    DROP COLUMN detected,
    DROP COLUMN is_present,
    DROP COLUMN updated_at;
