-- Files of feeds: versions, archive, what of them is in force.
select 1;
