DROP FUNCTION depgraph_feed.install_triggers();
