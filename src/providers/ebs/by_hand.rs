//! How a person does the same with the AWS CLI.

use crate::action::{ByHand, HandInput};
use crate::providers::backups::lines_in_time;
use crate::time::ByteSize;
use serde_json::Value;

const GIBIBYTE: u64 = 1 << 30;

/// How a person finds the recovery point. The CLI pages by itself.
pub(super) fn find_snapshot(input: &HandInput) -> ByHand {
    let region = input.region();
    let list = input.sets("list");
    let (id, at, key) = (input.sets("id"), input.sets("at"), input.sets("kms_key"));
    let variables = ["at", "id", "volume", "size_gib", "encrypted", "kms_key", "in_region_since"];
    let variables: Vec<_> = variables.iter().map(|output| input.sets(output)).collect();
    let in_time = lines_in_time(input);
    ByHand {
        commands: vec![
            format!(
                "# time of the data, id, volume, GiB, encrypted, key, complete here since; oldest first\n\
                 {list}=$(aws ec2 describe-snapshots --region {region} --owner-ids self \\\n  --filters \
                 Name=status,Values=completed{} \\\n  --query {} --output text | sort)\n\
                 printf '%s\\n' \"${list}\"",
                filters(input),
                HandInput::quote(&format!(
                    "Snapshots[?StorageTier!='archive'].[{},SnapshotId,VolumeId,VolumeSize,Encrypted,KmsKeyId,\
                     CompletionTime]",
                    time_of_data(input)
                )),
            ),
            format!(
                "read -r {} <<EOF\n$(printf '%s\\n' \"${list}\" | {in_time} | tail -n 1)\nEOF\n{}\necho \"${at} ${id}\"",
                variables.join(" "),
                size_in_bytes(input)
            ),
            format!(
                "[ \"${key}\" = None ] || aws kms describe-key --region {region} --key-id \"${key}\" \\\n  \
                 --query KeyMetadata.KeyState --output text"
            ),
        ],
        expected: format!(
            "A list with one snapshot for each interval of the schedule, the newest last; its id in ${id}, the time of its \
             data in ${at}; Enabled for its key."
        ),
        verify: vec![
            format!("Everything that was written after ${at} is lost by restoring this snapshot: say so to who decides."),
            "Look at the times in the list: a missing interval is a snapshot or a copy that did not happen.".to_owned(),
        ],
        if_it_fails: vec![
            "An empty list: copies do not keep the id of the volume, so look for them by tags; else look in the other \
             regions, in the backup account and in the recycle bin (aws ec2 list-snapshots-in-recycle-bin)."
                .to_owned(),
            format!(
                "A time of None: the snapshot is a copy and carries no tag with the time of its data; StartTime is the time of \
                 the copy. Such a snapshot is chosen only when there is no other: set {id} to its id, and look at the newest \
                 files or rows after restoring."
            ),
            "The key is not Enabled: enable it (aws kms enable-key) or cancel its deletion (aws kms cancel-key-deletion)."
                .to_owned(),
            "Only archived ones: aws ec2 restore-snapshot-tier takes 24 to 72 hours; begin now and look for another way."
                .to_owned(),
        ],
    }
}

/// `StartTime` for the snapshots of the volume itself that are no copies; else the tag, where the scenario names one.
fn time_of_data(input: &HandInput) -> String {
    const FIRST_HAND: &str = "!TransferType && !contains(not_null(Description,''),'Copied snap-')";
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

/// How a person restores the snapshot.
pub(super) fn restore_volume(input: &HandInput) -> ByHand {
    let region = input.region();
    let (id, state) = (input.sets("id"), input.sets("state"));
    let outputs =
        ["size_gib", "volume_type", "availability_zone", "encrypted", "kms_key", "snapshot"];
    let variables: Vec<_> = outputs.iter().map(|output| input.sets(output)).collect();
    let describe = format!("aws ec2 describe-volumes --region {region} --volume-ids \"${id}\"");
    ByHand {
        commands: vec![
            create_command(input),
            format!(
                "n=0; {state}=\nwhile [ $n -lt 240 ]; do\n  \
                 {state}=$({describe} --query 'Volumes[0].State' --output text)\n  \
                 echo \"$(date -u +%FT%TZ) ${state}\"\n  \
                 case \"${state}\" in\n    available) break;;\n    creating|'') sleep 15;;\n    \
                 *) echo \"the volume has ended in ${state}\" >&2; break;;\n  esac\n  n=$((n + 1))\ndone"
            ),
            format!(
                "read -r {} <<EOF\n$({describe} \\\n  --query \
                 'Volumes[0].[Size,VolumeType,AvailabilityZone,Encrypted,KmsKeyId,SnapshotId]' --output text)\nEOF\n{}",
                variables.join(" "),
                size_in_bytes(input)
            ),
        ],
        expected: format!("The state goes from creating to available, and ${id} holds the id of the new volume."),
        verify: vec![
            format!("{describe} --output table"),
            "Size, type, zone and encryption are as asked for.".to_owned(),
            "Available does not mean loaded: blocks come from the snapshot when they are first read. Read the whole device \
             once (dd or fio) where latency matters."
                .to_owned(),
        ],
        if_it_fails: vec![
            "A second attempt with the same --client-token makes no second volume: repeat the command as it is.".to_owned(),
            format!(
                "${state} is error: your role mostly lacks permission on the key (kms:CreateGrant, kms:Decrypt, \
                 kms:GenerateDataKeyWithoutPlaintext). Delete the volume, correct that and restore again."
            ),
            "MaxIOPSLimitExceeded or VolumeLimitExceeded: ask for less, or raise the quota of the region.".to_owned(),
        ],
    }
}

fn create_command(input: &HandInput) -> String {
    let (id, token) = (input.sets("id"), input.sets("token"));
    let mut words = vec![
        format!(
            "{token}=restored-{}-$(date -u +%Y%m%d-%H%M)   # keep it for a second attempt\n{id}=$(aws ec2 create-volume \
             --region {}",
            input.slug(),
            input.region()
        ),
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
    words.extend(tag_option(input));
    words.push("--query VolumeId --output text); echo \"$".to_owned() + &id + "\"");
    words.join(" \\\n  ")
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
            Some(format!("$(case {word} in true|True) echo --encrypted;; esac)"))
        }
    }
}

/// Sets the size in bytes, as the step's output is, beside the size in GiB.
fn size_in_bytes(input: &HandInput) -> String {
    format!("{}=$(expr ${} \\* {GIBIBYTE})", input.sets("size"), input.sets("size_gib"))
}

fn tag_option(input: &HandInput) -> Option<String> {
    let tags = input.value("tags").and_then(Value::as_object).filter(|tags| !tags.is_empty())?;
    let tag = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{{Key={name},Value={value}}}")
    };
    let tags = tags.iter().map(tag).collect::<Vec<_>>().join(",");
    let specification = format!("ResourceType=volume,Tags=[{tags}]");
    Some(format!("--tag-specifications {}", HandInput::quote(&specification)))
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
            "(!TransferType && !contains(not_null(Description,''),'Copied snap-') && StartTime)";
        assert_eq!(time(json!({ "volume": "vol-1" })), format!("{first_hand} || `null`"));
        let both = time(json!({ "volume": "vol-1", "time_tag": "it's" }));
        assert_eq!(both, format!("{first_hand} || (Tags[?Key=='it\\'s']|[0].Value)"));
        assert_eq!(time(json!({ "tags": { "a": "b" } })), "`null`");
        let tag = time(json!({ "tags": { "a": "b" }, "time_tag": "data-time" }));
        assert_eq!(tag, "(Tags[?Key=='data-time']|[0].Value)");
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
        assert!(hand.commands[1].starts_with("read -r POINT_AT POINT_ID POINT_VOLUME "));
    }

    #[test]
    fn restoring_says_everything_that_the_step_says() {
        let with = json!({
            "snapshot": HandInput::variable_mark("point", "id"), "availability_zone": "eu-west-1a", "size": "20 GiB",
            "iops": 4000, "kms_key": "key-1", "tags": { "team": "a" },
        });
        let of_a_step = json!({ "size": HandInput::variable_mark("point", "size") });
        let command = create_command(&hand("disk", of_a_step));
        assert!(command.contains("--size $(expr \"${POINT_SIZE}\" / 1073741824)"), "{command}");
        let command = create_command(&hand("disk", with));
        for part in [
            "DISK_ID=$(aws ec2 create-volume --region eu-west-1",
            "--client-token \"$DISK_TOKEN\"",
            "--snapshot-id \"${POINT_ID}\"",
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
