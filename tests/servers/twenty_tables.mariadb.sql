-- A database of twenty tables with keys of every kind, for MariaDB. $ROWS stands for the rows of each of the fourteen larger
-- ones, $FEW for those of two smaller ones, $SEED for what the values are made from. The same numbers give the same content.
create table customers (id bigint auto_increment primary key, name varchar(40) not null unique);
create table orders (id bigint auto_increment primary key, customer_id bigint not null, total decimal(12, 2) not null check (total >= 0),
  placed datetime not null, note varchar(20), key by_customer (customer_id), foreign key (customer_id) references customers (id));
create table `lines` (order_id bigint not null, line int not null, sku varchar(20) not null, primary key (order_id, line),
  foreign key (order_id) references orders (id) on delete cascade);
create table tokens (id binary(16) primary key, payload varchar(100) not null, raw varbinary(16));
create table countries (code varchar(2) primary key, name varchar(40) not null);
create table log (at datetime not null, what varchar(40));
create table heartbeat (committed_at datetime not null);
create table archive (id int primary key);
create view recent as select id, total from orders where placed > '2026-01-01';
begin not atomic
  for n in 1..12 do
    execute immediate concat('create table detail_', n, ' (id int auto_increment primary key, account int not null, amount int not null,
      at datetime not null', if(n = 3, ', key by_account (account)', ''), ')');
  end for;
end;

-- Rows
set foreign_key_checks = 0, unique_checks = 0;
insert into customers (name) select concat('customer ', seq) from seq_1_to_$FEW;
insert into orders (customer_id, total, placed, note) select 1 + seq % $FEW, (seq * 7919 + $SEED) % 100000 / 100,
  '2025-06-01' + interval seq * 7 minute, if(seq % 3 = 0, concat('n', seq), null) from seq_1_to_$ROWS;
insert into `lines` select 1 + (seq - 1) div 3, (seq - 1) % 3, concat('sku-', seq % 97) from seq_1_to_$ROWS;
insert into tokens select unhex(md5(concat($SEED, ':', seq))), json_object('n', seq), unhex(md5(concat('r', seq, ':', $SEED)))
  from seq_1_to_$FEW;
insert into countries select concat(char(65 + seq div 26), char(65 + seq % 26)), concat('country ', seq) from seq_0_to_199;
insert into log select '2026-01-01' + interval seq second, concat('line ', seq) from seq_1_to_300;
insert into heartbeat values ('2026-11-22 03:00:00');

-- Rows
set foreign_key_checks = 0, unique_checks = 0;
begin not atomic
  for n in 1..12 do
    execute immediate concat('insert into detail_', n, ' (account, amount, at) select seq * 31 % 1009, (seq * ', n, ' + $SEED) % 10007,
      ''2026-01-01'' + interval seq second from seq_1_to_$ROWS');
  end for;
end;
