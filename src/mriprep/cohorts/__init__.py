"""Many cases: one engine for one machine and for many, on which one bad case stops none.

:func:`run_cohort` in :mod:`.engine` hands cases to Dask. On every machine a
worker keeps a few child processes (:mod:`.guard`, :mod:`.child`), and each of
these does one case at a time (:mod:`.work`), so that whatever a case does to
its process, it does to no other. What was done is in the ledger
(:mod:`.ledger`); what need not be done again is found by :mod:`.resume`.
"""

from __future__ import annotations
