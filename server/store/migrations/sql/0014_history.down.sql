-- In the order in which writers lock the tables.
DROP TRIGGER depgraph_history_insert ON public.services;
DROP TRIGGER depgraph_history_update ON public.services;
DROP TRIGGER depgraph_history_delete ON public.services;
DROP TRIGGER depgraph_history_truncate ON public.services;
DROP TRIGGER depgraph_history_insert ON public.service_dependencies;
DROP TRIGGER depgraph_history_update ON public.service_dependencies;
DROP TRIGGER depgraph_history_delete ON public.service_dependencies;
DROP TRIGGER depgraph_history_truncate ON public.service_dependencies;
DROP TRIGGER depgraph_history_insert ON public.service_aliases;
DROP TRIGGER depgraph_history_update ON public.service_aliases;
DROP TRIGGER depgraph_history_delete ON public.service_aliases;
DROP TRIGGER depgraph_history_truncate ON public.service_aliases;
DROP SCHEMA depgraph_history CASCADE;
