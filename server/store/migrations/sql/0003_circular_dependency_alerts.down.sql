DROP TABLE public.circular_dependency_alerts;

DROP FUNCTION public.cycle_fingerprint(jsonb);

DROP FUNCTION public.is_cycle_path(jsonb);
