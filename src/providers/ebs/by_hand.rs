//! How a person does the same with the AWS CLI.

use crate::action::{ByHand, HandInput, HandSection, HandShell, Wait};
use crate::providers::backups::{Choosing, key_state, lost_by_it};
use crate::time::ByteSize;
use serde_json::Value;

const GIBIBYTE: u64 = 1 << 30;

/// How a person finds the recovery point. The CLI pages by itself.
pub(super) fn find_snapshot(input: &HandInput) -> ByHand {
    let (region, id, at) = (input.region(), input.sets("id"), input.sets("at"));
    let list = format!(
        "aws ec2 describe-snapshots --region {region} --owner-ids self \\\n  --filters Name=status,Values=completed{} \\\n  \
         --query {} --output text",
        filters(input),
        HandInput::quote(&format!(
            "Snapshots[?StorageTier!='archive'].[{},SnapshotId,VolumeId,VolumeSize,Encrypted,KmsKeyId,CompletionTime]",
            time_of_data(input)
        )),
    );
    let choosing = Choosing {
        input,
        what: "snapshots",
        about: "time of the data, id, volume, GiB, encrypted, key, complete here since; oldest first",
        lists: &[list],
        sort: if input.value("time_tag").is_some() { SORT_IN_UTC } else { "sort" },
        outputs: &["at", "id", "volume", "size_gib", "encrypted", "kms_key", "in_region_since"],
        chosen: "id",
        then: &format!("{}\necho \"${at} ${id}\"\n{}", size_in_bytes(input), key_state(input)),
    };
    ByHand {
        commands: vec![choosing.command()],
        expected: format!(
            "A list with one snapshot for each interval of the schedule, the newest last; its id in ${id}, the time of its \
             data in ${at}; Enabled for its key."
        ),
        verify: [
            lost_by_it(input, "at", "written"),
            vec!["Look at the times in the list: a missing interval is a snapshot or a copy that did not happen.".to_owned()],
        ]
        .concat(),
        if_it_fails: vec![
            "An empty list: copies do not keep the id of the volume, so look for them by tags; else look in the other \
             regions, in the backup account and in the recycle bin (`aws ec2 list-snapshots-in-recycle-bin`)."
                .to_owned(),
            format!(
                "A time of None: the snapshot is a copy and carries no tag with the time of its data; StartTime is the time of \
                 the copy. Such a snapshot is chosen only when there is no other: set {id} to its id, and look at the newest \
                 files or rows after restoring."
            ),
            "A time with a question mark is none that could be compared (a tag without a zone, or a `date` that is not that of GNU): \
             work out what it is in UTC, and choose by that."
                .to_owned(),
            "The key is not Enabled: enable it (`aws kms enable-key`) or cancel its deletion (`aws kms cancel-key-deletion`)."
                .to_owned(),
            "Only archived ones: `aws ec2 restore-snapshot-tier` takes 24 to 72 hours; begin now and look for another way."
                .to_owned(),
        ],
            ..ByHand::default()
        }
}

/// Tags are written by people, also with the offset of their own zone: their times are compared in UTC. What is no time with a
/// zone gets a question mark, so that it is never chosen.
const SORT_IN_UTC: &str = "while IFS= read -r line; do
    at=${line%%\"$(printf '\\t')\"*}
    case \"$at\" in
      ([0-9][0-9][0-9][0-9]-*T*Z|[0-9][0-9][0-9][0-9]-*T*[+-][0-9][0-9]:[0-9][0-9])
        utc=$(date -u -d \"$at\" +%Y-%m-%dT%H:%M:%SZ) || utc=\"?$at\";;
      ([0-9]*) utc=\"?$at\";;
      (*) utc=$at;;
    esac
    printf '%s%s\\n' \"$utc\" \"${line#\"$at\"}\"
  done | sort";

/// `StartTime` for the snapshots of the volume itself that are no copies; else the tag, where the scenario names one.
fn time_of_data(input: &HandInput) -> String {
    // A blank after `!`, or an interactive bash would look for it in its history.
    const FIRST_HAND: &str =
        "! TransferType && ! contains(not_null(Description,''),'Copied snap-')";
    let tag = input.value("time_tag").and_then(Value::as_str);
    let tag = tag.map_or_else(
        || "`null`".to_owned(),
        |tag| format!("(Tags[?Key=='{}']|[0].Value)", tag.replace('\'', "\\'")),
    );
    if input.value("volume").is_some() {
        format!("({FIRST_HAND} && StartTime) || {tag}")
    } else {
        tag
    }
}

fn filters(input: &HandInput) -> String {
    let volume = input.word("volume").map(|volume| format!(" Name=volume-id,Values={volume}"));
    let tags = input.value("tags").and_then(Value::as_object).into_iter().flatten();
    let tags = tags.map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!(" {}", HandInput::quote(&format!("Name=tag:{name},Values={value}")))
    });
    volume.into_iter().chain(tags).collect()
}

/// The tag by which a volume that was made by hand is found again: volumes have no names.
const TOKEN_TAG: &str = "restored-as";

fn shell(input: &HandInput) -> HandShell<'_> {
    HandShell { input, what: "volume", verb: "restored", name: "token" }
}

/// The outputs that are read at the end, in the order in which the shell reads them.
const OUTPUTS: [&str; 6] =
    ["size_gib", "volume_type", "availability_zone", "encrypted", "kms_key", "snapshot"];

/// How a person restores the snapshot.
pub(super) fn restore_volume(input: &HandInput) -> ByHand {
    let (region, id, state) = (input.region(), input.sets("id"), input.sets("state"));
    let zone = input.word("availability_zone").unwrap_or_else(|| "of the volume".to_owned());
    ByHand {
        commands: commands(input),
        expected: format!(
            "The state goes from creating to available. The last line is READY, with the id of the new volume, which is in \
             ${id}."
        ),
        verify: vec![
            format!("{} --output table", describe(input)),
            "Size, type, zone and encryption are as asked for.".to_owned(),
            "Available does not mean loaded: blocks come from the snapshot when they are first read. Read the whole device \
             once (dd or fio) where latency matters."
                .to_owned(),
        ],
        if_it_fails: vec![
            format!(
                "NOT READY: UNKNOWN is not failed, with one exception: InvalidVolume.NotFound for a volume that was made means \
                 that it is gone again, mostly because your role lacks permission on the key (kms:CreateGrant, kms:Decrypt, \
                 kms:GenerateDataKeyWithoutPlaintext). Correct that, unset {} and paste the block again.",
                input.sets("token")
            ),
            format!(
                "The shell is gone: this step tags what it makes {TOKEN_TAG}={}…; the block lists what an earlier attempt has \
                 made, and makes nothing beside it until {} is set.",
                shell(input).prefix(),
                input.sets("token")
            ),
            format!(
                "${state} is error: it will not get better by waiting. Remove the volume (under Afterwards), correct the \
                 cause, unset {} and paste the block again.",
                input.sets("token")
            ),
            "MaxIOPSLimitExceeded or VolumeLimitExceeded: ask for less, or raise the quota of the region.".to_owned(),
        ],
        needs: vec![format!(
            "A running host (EC2 instance) in the zone {zone}, to which the restored volume can be attached, and its id"
        )],
        sections: vec![attaching(input)],
        remove: vec![shell(input).only_mine(&format!(
            "aws ec2 delete-volume --region {region} --volume-id \"${{{id}:?}}\""
        ))],
        ..ByHand::default()
    }
}

/// A volume is of use only where it is attached. <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-attaching-volume.html>
fn attaching(input: &HandInput) -> HandSection {
    let (id, host, device) = (input.sets("id"), input.sets("host"), input.sets("device"));
    HandSection {
        title: "To use it".to_owned(),
        parts: vec![
            "Unless a later step attaches it itself: write the id of the host behind the first equals sign, then paste (your role needs \
             ec2:AttachVolume).".to_owned(),
            format!(
                "{host}=    # the id of the instance: i-0123456789abcdef0\n\
                 {device}=/dev/sdf\n\
                 aws ec2 attach-volume --region {} --volume-id \"${{{id}:?}}\" --instance-id \"${{{host}:?}}\" \\\n  \
                 --device \"${device}\" --query State --output text",
                input.region()
            ),
            "On the host it appears under another name (nvme…): `lsblk -o NAME,SERIAL` shows the id of the volume without its \
             hyphen. Check the file system before mounting it."
                .to_owned(),
        ],
    }
}

fn describe(input: &HandInput) -> String {
    let (region, id) = (input.region(), input.sets("id"));
    format!("aws ec2 describe-volumes --region {region} --volume-ids \"${id}\"")
}

fn commands(input: &HandInput) -> Vec<String> {
    let (shell, region, id) = (shell(input), input.region(), input.sets("id"));
    let earlier = format!(
        "aws ec2 describe-volumes --region {region} \\\n    --filters 'Name=tag:{TOKEN_TAG},Values={}*' \\\n    \
         --query \"Volumes[].Tags[?Key=='{TOKEN_TAG}'][].Value\" --output text",
        shell.prefix()
    );
    let decide = shell.by_status("state", &["available"], &["creating"], HandShell::READY);
    let wait = Wait {
        look: &format!("{} \\\n    --query 'Volumes[0].State' --output text", describe(input)),
        status: "state",
        decide: &decide,
        until: "available",
        pause: 15,
        goes_on: false,
    };
    let fields = format!(
        "{} \\\n    --query 'Volumes[0].[Size,VolumeType,AvailabilityZone,Encrypted,KmsKeyId,SnapshotId]' --output text",
        describe(input)
    );
    let forgotten: Vec<_> = OUTPUTS.iter().copied().chain(["id", "size"]).collect();
    vec![
        shell.name(&earlier, &forgotten),
        create_command(input),
        shell.wait(HandShell::ASKED, &wait),
        shell.read(HandShell::READY, &fields, &OUTPUTS, &size_in_bytes(input)),
        shell.end(&format!("${id}")),
    ]
}

/// Looks for the volume of the token first: EC2 forgets tokens after a time, tags stay.
fn create_command(input: &HandInput) -> String {
    let (id, token, went) = (input.sets("id"), input.sets("token"), input.sets("went"));
    let (named, asked, region) = (HandShell::NAMED, HandShell::ASKED, input.region());
    let mut words = vec![
        format!("aws ec2 create-volume --region {region}"),
        format!("--client-token \"${token}\""),
    ];
    let options = [
        ("snapshot", "--snapshot-id"),
        ("availability_zone", "--availability-zone"),
        ("iops", "--iops"),
        ("throughput", "--throughput"),
        ("kms_key", "--kms-key-id"),
    ];
    for (name, option) in options {
        words.extend(input.word(name).map(|word| format!("{option} {word}")));
    }
    words.push(format!(
        "--volume-type {}",
        input.word("volume_type").unwrap_or_else(|| "gp3".to_owned())
    ));
    words.extend(size_in_gibibytes(input).map(|size| format!("--size {size}")));
    words.extend(encrypted_option(input));
    words.push(tag_option(input));
    words.push("--query VolumeId --output text".to_owned());
    format!(
        "if [ \"${went}\" = {named} ]; then\n  \
         if ! {id}=$(aws ec2 describe-volumes --region {region} --filters \"Name=tag:{TOKEN_TAG},Values=${token}\" \\\n    \
         --query 'Volumes[].VolumeId' --output text); then\n    \
         {went}='UNKNOWN whether the volume is there already, so nothing was asked for. Correct what is said above and paste \
         this block again'\n  \
         elif [ -n \"${id}\" ]; then\n    {went}={asked}; echo \"${id} is there already: going on with it\"\n  \
         elif {id}=$({}); then\n    {went}={asked}; echo \"${id}\"\n  else\n    \
         {went}='failed: AWS has not taken it, as is said above. Without an answer it is UNKNOWN whether the volume is made. \
         Correct the cause and paste this block again: the token stays, so nothing is made twice'\n  fi\nfi",
        words.join(" \\\n    ")
    )
}

/// The CLI wants whole GiB; a size that comes from an earlier step is in bytes.
fn size_in_gibibytes(input: &HandInput) -> Option<String> {
    let size = serde_json::from_value::<ByteSize>(input.value("size")?.clone());
    match size {
        Ok(size) => Some((size.0 >> 30).to_string()),
        Err(_) => Some(format!("$(expr {} / {GIBIBYTE})", input.word("size")?)),
    }
}

/// `--encrypted`, or nothing; chosen by the shell where the value comes from an earlier step.
fn encrypted_option(input: &HandInput) -> Option<String> {
    match input.value("encrypted") {
        _ if input.value("kms_key").is_some() => Some("--encrypted".to_owned()),
        Some(Value::Bool(true)) => Some("--encrypted".to_owned()),
        None | Some(Value::Bool(false)) => None,
        Some(_) => {
            let word = input.word("encrypted")?;
            Some(format!("$(case {word} in (true|True) echo --encrypted;; esac)"))
        }
    }
}

/// Sets the size in bytes, as the step's output is, beside the size in GiB.
fn size_in_bytes(input: &HandInput) -> String {
    format!("{}=$(expr \"${}\" \\* {GIBIBYTE})", input.sets("size"), input.sets("size_gib"))
}

/// The tags of the step, and the one by which the volume is found again.
fn tag_option(input: &HandInput) -> String {
    let tags = input.value("tags").and_then(Value::as_object);
    let tag = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!(",{{Key={name},Value={value}}}")
    };
    let tags: String = tags.into_iter().flatten().map(tag).collect();
    let begin =
        format!("\"ResourceType=volume,Tags=[{{Key={TOKEN_TAG},Value=${}}}\"", input.sets("token"));
    format!("--tag-specifications {begin}{}", HandInput::quote(&format!("{tags}]")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn hand(step: &str, with: Value) -> HandInput {
        HandInput::new(step, Some("eu-west-1"), with, BTreeMap::new())
    }

    #[test]
    fn the_time_by_hand_follows_the_same_rule_as_the_action() {
        let time = |with| time_of_data(&hand("point", with));
        let first_hand =
            "(! TransferType && ! contains(not_null(Description,''),'Copied snap-') && StartTime)";
        assert_eq!(time(json!({ "volume": "vol-1" })), format!("{first_hand} || `null`"));
        let both = time(json!({ "volume": "vol-1", "time_tag": "it's" }));
        assert_eq!(both, format!("{first_hand} || (Tags[?Key=='it\\'s']|[0].Value)"));
        assert_eq!(time(json!({ "tags": { "a": "b" } })), "`null`");
        let tag = time(json!({ "tags": { "a": "b" }, "time_tag": "data-time" }));
        assert_eq!(tag, "(Tags[?Key=='data-time']|[0].Value)");
    }

    #[test]
    fn by_hand_times_of_tags_are_compared_in_utc_and_what_is_no_time_is_not_chosen() {
        let with = json!({ "tags": { "app": "ledger" }, "time_tag": "data-time" });
        let find = find_snapshot(&hand("point", with)).commands.join("\n");
        // Nine hours ahead: it is the oldest, although it reads as the newest.
        let lines = "2026-11-22T08:00:00+09:00\\tsnap-1\\tv\\t8\\tFalse\\tNone\\tx\\n\
                     2026-11-22T01:00:00Z\\tsnap-2\\tv\\t8\\tFalse\\tNone\\tx\\n\
                     2026-11-23\\tsnap-3\\tv\\t8\\tFalse\\tNone\\tx\\nNone\\tsnap-4\\tv\\t8\\tFalse\\tNone\\tx\\n";
        for shell in ["sh", "bash"] {
            let script = format!("set -u\nexec 2>&1\naws() {{ printf '{lines}'; }}\n{find}");
            let ended = std::process::Command::new(shell).arg("-c").arg(&script).output().unwrap();
            let said = String::from_utf8(ended.stdout).unwrap();
            assert!(ended.status.success(), "{said}");
            assert!(said.contains("\n2026-11-22T01:00:00Z snap-2\n"), "{said}");
            assert!(said.contains("2026-11-21T23:00:00Z\tsnap-1"), "{said}");
            assert!(said.contains("?2026-11-23\tsnap-3"), "{said}");
        }
    }

    #[test]
    fn finding_says_every_selector_and_sets_what_later_steps_use() {
        let with = json!({ "volume": "vol-1", "tags": { "app": "orders db" }, "not_after": "2026-11-22T00:00:00Z" });
        let hand = find_snapshot(&hand("point", with));
        for part in
            ["Name=volume-id,Values=vol-1", "'Name=tag:app,Values=orders db'", "--owner-ids self"]
        {
            assert!(hand.commands[0].contains(part), "{part} is missing in\n{}", hand.commands[0]);
        }
        assert!(hand.commands[0].contains("read -r POINT_AT POINT_ID POINT_VOLUME "));
    }

    #[test]
    fn restoring_says_everything_that_the_step_says() {
        let with = json!({
            "snapshot": HandInput::variable_mark("point", "id"), "availability_zone": "eu-west-1a", "size": "20 GiB",
            "iops": 4000, "kms_key": "key-1", "tags": { "team": "a" },
        });
        let of_a_step = json!({ "size": HandInput::variable_mark("point", "size") });
        let command = create_command(&hand("disk", of_a_step));
        assert!(command.contains("--size $(expr \"${POINT_SIZE:?}\" / 1073741824)"), "{command}");
        let command = create_command(&hand("disk", with));
        for part in [
            "elif DISK_ID=$(aws ec2 create-volume --region eu-west-1",
            "--filters \"Name=tag:restored-as,Values=$DISK_TOKEN\"",
            "{Key=restored-as,Value=$DISK_TOKEN}",
            "--client-token \"$DISK_TOKEN\"",
            "--snapshot-id \"${POINT_ID:?}\"",
            "--size 20",
            "--iops 4000",
            "--volume-type gp3",
            "--encrypted",
            "{Key=team,Value=a}",
            "echo \"$DISK_ID\"",
        ] {
            assert!(command.contains(part), "{part} is missing in\n{command}");
        }
    }
}
