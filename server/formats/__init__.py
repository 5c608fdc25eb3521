"""Files that a graph can be read from. One format a module; each turns bytes into reports of one discovery source."""
