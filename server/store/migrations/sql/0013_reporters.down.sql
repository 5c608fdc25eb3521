DROP TABLE public.reporters;
