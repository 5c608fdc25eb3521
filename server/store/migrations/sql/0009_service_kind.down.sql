ALTER TABLE public.services
    DROP COLUMN kind;
