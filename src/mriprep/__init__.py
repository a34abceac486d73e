"""mriprep: from a scan to arrays that are ready to train on."""
