DROP TABLE public.services;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgfoid = to_regprocedure('public.set_updated_at()')) THEN
        DROP FUNCTION IF EXISTS public.set_updated_at();
    END IF;
END
$$;
