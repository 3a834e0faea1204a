-- Quarantine decisions and drift.
select 1;
