DROP TABLE public.service_aliases;
