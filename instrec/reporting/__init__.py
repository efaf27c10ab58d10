"""Reports: experiments compared with what was published, and recognised recordings."""
