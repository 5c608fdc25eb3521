DROP TRIGGER depgraph_feed_insert ON public.services;
DROP TRIGGER depgraph_feed_update ON public.services;
DROP TRIGGER depgraph_feed_delete ON public.services;
DROP TRIGGER depgraph_feed_truncate ON public.services;
DROP TRIGGER depgraph_feed_insert ON public.service_dependencies;
DROP TRIGGER depgraph_feed_update ON public.service_dependencies;
DROP TRIGGER depgraph_feed_delete ON public.service_dependencies;
DROP TRIGGER depgraph_feed_truncate ON public.service_dependencies;
DROP SCHEMA depgraph_feed CASCADE;
