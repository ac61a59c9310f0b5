"""The work of each verb of ``vptm``; ``vptm_mm_cli`` has their flags."""
