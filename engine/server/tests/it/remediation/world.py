"""What the tests of remediation do to the emulator of AWS by themselves: bad states, the events that tell of them, and how
things are. Reads one JSON object a line and answers each with one line: {"ok": ...} or {"error": ...}.

    world.py ENDPOINT

It talks to the emulator and not to the proxy, so what the proxy counts is what the service did."""

import io
import json
import sys
import time
import traceback
import urllib.request
import uuid
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from more import More

ENDPOINT = sys.argv[1]
ACCOUNT, REGION = "123456789012", "us-east-1"
ROLE = "tripline-remediation"
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
# What the role may do: what the actions that are tried here need, and nothing more. What is asked about a bucket's public
# access block the emulator takes for s3:ListBucket, s3:CreateBucket and s3:DeleteBucket.
MAY = """
cloudtrail:Describe* cloudtrail:Get* cloudtrail:StartLogging cloudtrail:StopLogging cloudtrail:CreateTrail cloudtrail:DeleteTrail
cloudtrail:UpdateTrail cloudtrail:PutEventSelectors cloudtrail:PutInsightSelectors cloudtrail:AddTags
config:Describe* config:PutConfigurationRecorder config:DeleteConfigurationRecorder config:StartConfigurationRecorder
config:StopConfigurationRecorder
ec2:Describe* ec2:AuthorizeSecurityGroupIngress ec2:RevokeSecurityGroupIngress ec2:CreateSnapshots ec2:DeleteSnapshot
ec2:CreateTags ec2:ModifyInstanceAttribute ec2:ModifyImageAttribute ec2:ModifySnapshotAttribute
ec2:ModifyInstanceMetadataOptions ec2:EnableEbsEncryptionByDefault ec2:DisableEbsEncryptionByDefault
ec2:GetEbsEncryptionByDefault ec2:StopInstances ec2:StartInstances ec2:AssociateIamInstanceProfile
ec2:DisassociateIamInstanceProfile iam:PassRole iam:DeactivateMFADevice
guardduty:Get* guardduty:List* guardduty:UpdateDetector guardduty:CreateDetector guardduty:DeleteDetector guardduty:TagResource
events:DescribeRule events:EnableRule events:DisableRule
iam:UpdateAssumeRolePolicy ec2:CreateFlowLogs ec2:DeleteFlowLogs
iam:Get* iam:List* iam:UpdateAccessKey iam:DeleteAccessKey iam:PutUserPolicy iam:PutRolePolicy iam:DeleteUserPolicy iam:DeleteRolePolicy
iam:DeleteLoginProfile iam:SetDefaultPolicyVersion iam:AddUserToGroup iam:RemoveUserFromGroup iam:AttachUserPolicy iam:DetachUserPolicy
kms:DescribeKey kms:CancelKeyDeletion kms:EnableKey kms:DisableKey kms:ScheduleKeyDeletion
lambda:GetPolicy lambda:AddPermission lambda:RemovePermission lambda:GetFunctionUrlConfig lambda:CreateFunctionUrlConfig
lambda:DeleteFunctionUrlConfig
organizations:List* organizations:MoveAccount
rds:DescribeDBInstances rds:ModifyDBInstance
s3:GetBucketAcl s3:PutBucketAcl s3:GetAccountPublicAccessBlock s3:PutAccountPublicAccessBlock
ssm:Describe* ssm:ModifyDocumentPermission
lambda:GetFunctionConcurrency lambda:PutFunctionConcurrency lambda:DeleteFunctionConcurrency
logs:DescribeLogGroups logs:PutRetentionPolicy logs:DeleteRetentionPolicy
rds:DescribeDBSnapshotAttributes rds:ModifyDBSnapshotAttribute
s3:GetBucketPolicy s3:PutBucketPolicy s3:DeleteBucketPolicy s3:GetBucketPublicAccessBlock s3:PutBucketPublicAccessBlock
s3:ListBucket s3:CreateBucket s3:DeleteBucket
secretsmanager:DescribeSecret secretsmanager:RestoreSecret secretsmanager:DeleteSecret
""".split()

keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
clients, known, past = {}, {}, {}


def client(service, **other):
    """A client as the administrator, or as somebody else."""
    which = (service, tuple(sorted((other or keys).items())))
    if which not in clients:
        config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
        clients[which] = boto3.client(
            service, region_name=REGION, endpoint_url=ENDPOINT, config=config, **(other or keys)
        )
    return clients[which]


def code_of(call):
    """The code of the error that a call ends with; empty when it works."""
    try:
        call()
        return ""
    except ClientError as fault:
        return fault.response["Error"]["Code"]


def post(path, body=b""):
    # With the content type of a form, which is what urllib says by itself, the emulator fails.
    headers = {"content-type": "application/octet-stream"}
    urllib.request.urlopen(urllib.request.Request(ENDPOINT + path, data=body, headers=headers, method="POST")).read()


def auth(on):
    post("/moto-api/reset-auth", b"0" if on else b"1000000000")


def begin():
    """An empty world with an administrator, a role to act as, and a user who may assume it and nothing else."""
    global keys
    post("/moto-api/reset")
    clients.clear()
    known.clear()
    auth(False)
    iam = client("iam")
    user(iam, "admin", EVERYTHING)
    admin = key(iam, "admin")
    role = f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"
    may_assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role}
    user(iam, "tripline", {"Version": "2012-10-17", "Statement": [may_assume]})
    trusts = trust(f"arn:aws:iam::{ACCOUNT}:user/tripline")
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(trusts))
    may = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": MAY, "Resource": "*"}]}
    iam.put_role_policy(RoleName=ROLE, PolicyName="may", PolicyDocument=json.dumps(may))
    service = key(iam, "tripline")
    keys = admin
    auth(True)
    wrong = client("iam", **{**admin, "aws_secret_access_key": "not the key"})
    return {"keys": service, "wrong": code_of(lambda: wrong.list_users())}


def trust(principal):
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def little():
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def user(iam, name, policy=None):
    iam.create_user(UserName=name)
    if policy:
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(policy))


def key(iam, name):
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}


def event(source, name, asked, answered=None, **more):
    """An event as CloudTrail writes it, of somebody called mallory."""
    return {
        "eventVersion": "1.11",
        "eventID": str(uuid.uuid4()),
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "eventSource": f"{source}.amazonaws.com",
        "eventName": name,
        "awsRegion": REGION,
        "recipientAccountId": ACCOUNT,
        "sourceIPAddress": "198.51.100.7",
        "readOnly": False,
        "eventType": "AwsApiCall",
        "userIdentity": {
            "type": "IAMUser",
            "arn": f"arn:aws:iam::{ACCOUNT}:user/mallory",
            "accountId": ACCOUNT,
            "userName": "mallory",
            "accessKeyId": "AKIAMALLORY000000000",
        },
        "requestParameters": asked,
        "responseElements": answered,
        **more,
    }


def a_minute_ago():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))


def by_user(name):
    return {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/{name}", "accountId": ACCOUNT, "userName": name}


def by_role(name, session):
    return {
        "type": "AssumedRole",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{session}",
        "accountId": ACCOUNT,
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "arn": f"arn:aws:iam::{ACCOUNT}:role/{name}",
                "accountId": ACCOUNT,
                "userName": name,
            }
        },
    }


def vpc():
    """The network, the image and the quarantine group that all instances share."""
    if "vpc" not in known:
        ec2 = client("ec2")
        net = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        group = ec2.create_security_group(GroupName="quarantine", Description="nothing in", VpcId=net)["GroupId"]
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        known["vpc"] = (net, group, image)
    return known["vpc"]


def instance(tag):
    ec2, (net, _, image) = client("ec2"), vpc()
    group = ec2.create_security_group(GroupName=f"work-{tag}", Description="work", VpcId=net)["GroupId"]
    subnet = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [net]}])["Subnets"][0]["SubnetId"]
    ran = ec2.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.micro", SecurityGroupIds=[group], SubnetId=subnet
    )
    return ran["Instances"][0]["InstanceId"]


def inline(kind, name):
    iam = client("iam")
    names = getattr(iam, f"list_{kind}_policies")(**{f"{kind.title()}Name": name})["PolicyNames"]
    get = getattr(iam, f"get_{kind}_policy")
    return [get(**{f"{kind.title()}Name": name}, PolicyName=one)["PolicyDocument"] for one in sorted(names)]


class World:
    """`do_NAME` makes a bad state and answers with its event; `is_NAME` tells the state, without what is new each time."""

    def do_trail(self, tag):
        trail = client("cloudtrail")
        client("s3").create_bucket(Bucket=f"trail-{tag}")
        trail.create_trail(Name=tag, S3BucketName=f"trail-{tag}")
        trail.start_logging(Name=tag)
        trail.stop_logging(Name=tag)
        return event("cloudtrail", "StopLogging", {"name": tag})

    def is_trail(self, tag):
        return client("cloudtrail").get_trail_status(Name=tag)["IsLogging"]

    def do_access_key(self, tag):
        iam = client("iam")
        user(iam, tag)
        made = key(iam, tag)["aws_access_key_id"]
        return event(
            "iam",
            "CreateAccessKey",
            {"userName": tag},
            {"accessKey": {"userName": tag, "accessKeyId": made, "status": "Active"}},
        )

    def is_access_key(self, tag):
        found = client("iam").list_access_keys(UserName=tag)["AccessKeyMetadata"]
        return [one["Status"] for one in found]

    def do_dead_key(self, tag):
        told = self.do_access_key(tag)
        made = told["responseElements"]["accessKey"]["accessKeyId"]
        client("iam").update_access_key(UserName=tag, AccessKeyId=made, Status="Inactive")
        return told

    is_dead_key = is_access_key

    def do_deny_all(self, tag):
        iam = client("iam")
        user(iam, tag, EVERYTHING)
        known[tag] = key(iam, tag)
        return event("ec2", "DeleteVpc", {"vpcId": "vpc-1"}, userIdentity=by_user(tag))

    def is_deny_all(self, tag):
        return inline("user", tag)

    def do_sessions(self, tag):
        iam = client("iam")
        iam.create_role(RoleName=tag, AssumeRolePolicyDocument=json.dumps(trust("*")))
        iam.put_role_policy(RoleName=tag, PolicyName="own", PolicyDocument=json.dumps(EVERYTHING))
        arn = f"arn:aws:iam::{ACCOUNT}:role/{tag}"
        made = client("sts").assume_role(RoleArn=arn, RoleSessionName="stolen")["Credentials"]
        known[tag] = {
            "aws_access_key_id": made["AccessKeyId"],
            "aws_secret_access_key": made["SecretAccessKey"],
            "aws_session_token": made["SessionToken"],
        }
        return event("ec2", "DeleteKeyPair", {"keyName": "a"}, userIdentity=by_role(tag, "stolen"))

    def is_sessions(self, tag):
        documents = inline("role", tag)
        for document in documents:
            for statement in document["Statement"]:
                # The time of the event.
                statement.pop("Condition", None) and statement.update(Condition="older sessions")
        return documents

    def do_bucket_block(self, tag):
        s3 = client("s3")
        s3.create_bucket(Bucket=tag)
        return event("s3", "DeleteBucketPublicAccessBlock", {"bucketName": tag})

    def is_bucket_block(self, tag):
        try:
            return client("s3").get_public_access_block(Bucket=tag)["PublicAccessBlockConfiguration"]
        except ClientError as fault:
            return fault.response["Error"]["Code"]

    def do_bucket_policy(self, tag):
        s3 = client("s3")
        s3.create_bucket(Bucket=tag)
        own = {
            "Sid": "own",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{tag}/*",
        }
        everybody = {**own, "Sid": "everybody", "Principal": "*"}
        policy = {"Version": "2012-10-17", "Statement": [own, everybody]}
        s3.put_bucket_policy(Bucket=tag, Policy=json.dumps(policy))
        return event("s3", "PutBucketPolicy", {"bucketName": tag, "bucketPolicy": policy})

    def is_bucket_policy(self, tag):
        policy = json.loads(client("s3").get_bucket_policy(Bucket=tag)["Policy"])
        return [one["Sid"] for one in policy["Statement"]]

    def do_ingress(self, tag):
        ec2, (net, _, _) = client("ec2"), vpc()
        group = ec2.create_security_group(GroupName=tag, Description="of a test", VpcId=net)["GroupId"]
        known[tag] = group
        rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        return self.open_ingress(tag)

    def open_ingress(self, tag):
        opened = {"CidrIp": "0.0.0.0/0", "Description": "for later"}
        rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [opened]}
        answer = client("ec2").authorize_security_group_ingress(GroupId=known[tag], IpPermissions=[rule])
        rule_id = answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        asked = {"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipRanges": {"items": [{"cidrIp": "0.0.0.0/0"}]}}
        made = {
            "groupId": known[tag],
            "groupOwnerId": ACCOUNT,
            "securityGroupRuleId": rule_id,
            "isEgress": False,
            "ipProtocol": "tcp",
            "fromPort": 22,
            "toPort": 22,
            "cidrIpv4": "0.0.0.0/0",
        }
        return event(
            "ec2",
            "AuthorizeSecurityGroupIngress",
            {"groupId": known[tag], "ipPermissions": {"items": [asked]}},
            {"_return": True, "securityGroupRuleSet": {"items": [made]}},
        )

    def is_ingress(self, tag):
        question = [{"Name": "group-id", "Values": [known[tag]]}]
        rules = client("ec2").describe_security_group_rules(Filters=question)["SecurityGroupRules"]
        # A rule that is put back has another id.
        return sorted(
            f"{one['IpProtocol']} {one['FromPort']}-{one['ToPort']} {one['CidrIpv4']} {one.get('Description', '')}".strip()
            for one in rules
            if not one["IsEgress"]
        )

    def do_instance(self, tag):
        known[tag] = instance(tag)
        # What a finding about an instance tells.
        return event("ec2", "ModifyInstanceAttribute", {"instanceId": known[tag], "quarantine": vpc()[1]})

    def is_instance(self, tag):
        ec2 = client("ec2")
        found = ec2.describe_instances(InstanceIds=[known[tag]])["Reservations"][0]["Instances"][0]
        volumes = [one["Ebs"]["VolumeId"] for one in found["BlockDeviceMappings"]]
        question = [{"Name": "volume-id", "Values": volumes}]
        snapshots = ec2.describe_snapshots(OwnerIds=["self"], Filters=question)["Snapshots"]
        # Of the interface the emulator tells those that it was made with as well.
        groups = [group["GroupName"] for group in found["SecurityGroups"]]
        ours = [one for one in snapshots if any(tag["Key"] == "tripline-action" for tag in one.get("Tags", []))]
        return {"groups": groups, "volumes": len(volumes), "snapshots": len(snapshots), "tagged": len(ours)}

    def do_function(self, tag):
        iam = client("iam")
        iam.create_role(RoleName=f"{tag}-role", AssumeRolePolicyDocument=json.dumps(trust("*")))
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as file:
            file.writestr("main.py", "def main(event, context): pass")
        client("lambda").create_function(
            FunctionName=tag,
            Runtime="python3.12",
            Role=f"arn:aws:iam::{ACCOUNT}:role/{tag}-role",
            Handler="main.main",
            Code={"ZipFile": packed.getvalue()},
        )
        return event("lambda", "UpdateFunctionCode20150331v2", {"functionName": tag})

    def is_function(self, tag):
        answer = client("lambda").get_function_concurrency(FunctionName=tag)
        return answer.get("ReservedConcurrentExecutions")

    def do_kms_key(self, tag):
        kms = client("kms")
        known[tag] = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.schedule_key_deletion(KeyId=known[tag], PendingWindowInDays=7)
        return event("kms", "ScheduleKeyDeletion", {"keyId": known[tag], "pendingWindowInDays": 7})

    def is_kms_key(self, tag):
        return client("kms").describe_key(KeyId=known[tag])["KeyMetadata"]["KeyState"]

    def do_snapshot(self, tag):
        ec2 = client("ec2")
        volume = ec2.create_volume(Size=1, AvailabilityZone=f"{REGION}a")["VolumeId"]
        known[tag] = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        add = {"SnapshotId": known[tag], "Attribute": "createVolumePermission", "OperationType": "add"}
        ec2.modify_snapshot_attribute(**add, UserIds=["999988887777"])
        ec2.modify_snapshot_attribute(**add, GroupNames=["all"])
        items = {"items": [{"userId": "999988887777"}, {"group": "all"}]}
        asked = {"snapshotId": known[tag], "createVolumePermission": {"add": items}}
        return event("ec2", "ModifySnapshotAttribute", {**asked, "attributeType": "CREATE_VOLUME_PERMISSION"})

    def is_snapshot(self, tag):
        answer = client("ec2").describe_snapshot_attribute(SnapshotId=known[tag], Attribute="createVolumePermission")
        return sorted(str(one) for one in answer["CreateVolumePermissions"])

    def do_image(self, tag):
        ec2 = client("ec2")
        known[tag] = ec2.create_image(InstanceId=instance(tag), Name=tag)["ImageId"]
        ec2.modify_image_attribute(
            ImageId=known[tag], LaunchPermission={"Add": [{"UserId": "999988887777"}, {"Group": "all"}]}
        )
        items = {"items": [{"userId": "999988887777"}, {"group": "all"}]}
        return event(
            "ec2",
            "ModifyImageAttribute",
            {"imageId": known[tag], "launchPermission": {"add": items}, "attributeType": "launchPermission"},
        )

    def is_image(self, tag):
        answer = client("ec2").describe_image_attribute(ImageId=known[tag], Attribute="launchPermission")
        return sorted(str(one) for one in answer["LaunchPermissions"])

    def do_db_snapshot(self, tag):
        rds = client("rds")
        rds.create_db_instance(
            DBInstanceIdentifier=f"{tag}-db",
            Engine="postgres",
            DBInstanceClass="db.t3.micro",
            AllocatedStorage=20,
            MasterUsername="somebody",
            MasterUserPassword="a password of a test",
        )
        rds.create_db_snapshot(DBInstanceIdentifier=f"{tag}-db", DBSnapshotIdentifier=tag)
        rds.modify_db_snapshot_attribute(DBSnapshotIdentifier=tag, AttributeName="restore", ValuesToAdd=["999988887777"])
        asked = {"dBSnapshotIdentifier": tag, "attributeName": "restore", "valuesToAdd": ["999988887777"]}
        return event("rds", "ModifyDBSnapshotAttribute", asked)

    def is_db_snapshot(self, tag):
        answer = client("rds").describe_db_snapshot_attributes(DBSnapshotIdentifier=tag)
        found = answer["DBSnapshotAttributesResult"]["DBSnapshotAttributes"]
        return sorted(value for one in found if one["AttributeName"] == "restore" for value in one["AttributeValues"])

    def do_login(self, tag):
        iam = client("iam")
        user(iam, tag)
        iam.create_login_profile(UserName=tag, Password="A-password-of-a-test-1")
        return event("iam", "CreateLoginProfile", {"userName": tag})

    def is_login(self, tag):
        return code_of(lambda: client("iam").get_login_profile(UserName=tag))

    def do_membership(self, tag):
        iam = client("iam")
        user(iam, tag)
        iam.create_group(GroupName=f"{tag}-admins")
        iam.add_user_to_group(GroupName=f"{tag}-admins", UserName=tag)
        return event("iam", "AddUserToGroup", {"userName": tag, "groupName": f"{tag}-admins"})

    def is_membership(self, tag):
        return [one["GroupName"] for one in client("iam").list_groups_for_user(UserName=tag)["Groups"]]

    def do_attached(self, tag):
        iam = client("iam")
        user(iam, tag)
        arn = "arn:aws:iam::aws:policy/AdministratorAccess"
        iam.attach_user_policy(UserName=tag, PolicyArn=arn)
        return event("iam", "AttachUserPolicy", {"userName": tag, "policyArn": arn})

    def is_attached(self, tag):
        found = client("iam").list_attached_user_policies(UserName=tag)["AttachedPolicies"]
        return [one["PolicyName"] for one in found]

    def do_secret(self, tag):
        secrets = client("secretsmanager")
        known[tag] = secrets.create_secret(Name=tag, SecretString="nothing much")["ARN"]
        secrets.delete_secret(SecretId=tag, RecoveryWindowInDays=7)
        return event("secretsmanager", "DeleteSecret", {"secretId": known[tag], "recoveryWindowInDays": 7})

    def is_secret(self, tag):
        return "DeletedDate" in client("secretsmanager").describe_secret(SecretId=known[tag])

    def do_event_rule(self, tag):
        events = client("events")
        events.put_rule(Name=tag, ScheduleExpression="rate(5 minutes)")
        events.disable_rule(Name=tag)
        return event("events", "DisableRule", {"name": tag})

    def is_event_rule(self, tag):
        return client("events").describe_rule(Name=tag)["State"]

    def do_metadata(self, tag):
        known[tag] = instance(tag)
        client("ec2").modify_instance_metadata_options(InstanceId=known[tag], HttpTokens="optional")
        asked = {"ModifyInstanceMetadataOptionsRequest": {"InstanceId": known[tag], "HttpTokens": "optional"}}
        return event("ec2", "ModifyInstanceMetadataOptions", asked)

    def is_metadata(self, tag):
        found = client("ec2").describe_instances(InstanceIds=[known[tag]])["Reservations"][0]["Instances"][0]
        return found["MetadataOptions"]["HttpTokens"]

    def do_ebs(self, tag):
        client("ec2").disable_ebs_encryption_by_default()
        return event("ec2", "DisableEbsEncryptionByDefault", {"DisableEbsEncryptionByDefaultRequest": {}})

    def is_ebs(self, tag):
        return client("ec2").get_ebs_encryption_by_default()["EbsEncryptionByDefault"]

    def do_version(self, tag):
        iam = client("iam")
        made = iam.create_policy(PolicyName=tag, PolicyDocument=json.dumps(little()))["Policy"]["Arn"]
        known[tag] = made
        iam.create_policy_version(PolicyArn=made, PolicyDocument=json.dumps(EVERYTHING), SetAsDefault=True)
        version = {"policyVersion": {"versionId": "v2", "isDefaultVersion": True}}
        return event("iam", "CreatePolicyVersion", {"policyArn": made, "setAsDefault": True}, version)

    def is_version(self, tag):
        return client("iam").get_policy(PolicyArn=known[tag])["Policy"]["DefaultVersionId"]

    def do_trust(self, tag):
        iam = client("iam")
        good = json.dumps(trust(f"arn:aws:iam::{ACCOUNT}:root"))
        iam.create_role(RoleName=tag, AssumeRolePolicyDocument=good)
        past[tag] = event(
            "iam", "CreateRole", {"roleName": tag, "assumeRolePolicyDocument": good}, eventTime=a_minute_ago()
        )
        bad = json.dumps(trust("arn:aws:iam::999988887777:root"))
        iam.update_assume_role_policy(RoleName=tag, PolicyDocument=bad)
        return event("iam", "UpdateAssumeRolePolicy", {"roleName": tag, "policyDocument": bad})

    def is_trust(self, tag):
        document = client("iam").get_role(RoleName=tag)["Role"]["AssumeRolePolicyDocument"]
        return document["Statement"][0]["Principal"]["AWS"]

    def do_flow_logs(self, tag):
        ec2, (net, _, _) = client("ec2"), vpc()
        client("s3").create_bucket(Bucket=tag)
        wanted = {
            "ResourceType": "VPC",
            "TrafficType": "REJECT",
            "LogDestinationType": "s3",
            "LogDestination": f"arn:aws:s3:::{tag}",
        }
        made = ec2.create_flow_logs(ResourceIds=[net], **wanted)["FlowLogIds"][0]
        ec2.delete_flow_logs(FlowLogIds=[made])
        past[tag] = event(
            "ec2",
            "CreateFlowLogs",
            {"CreateFlowLogsRequest": {**wanted, "ResourceId": {"tag": 1, "content": net}}},
            {"CreateFlowLogsResponse": {"flowLogIdSet": {"item": made}}},
            eventTime=a_minute_ago(),
        )
        asked = {"DeleteFlowLogsRequest": {"FlowLogId": {"tag": 1, "content": made}}}
        return event("ec2", "DeleteFlowLogs", asked)

    def is_flow_logs(self, tag):
        found = client("ec2").describe_flow_logs()["FlowLogs"]
        return [one["TrafficType"] for one in found if one["LogDestination"].endswith(tag)]

    def past(self, tag):
        """The event of how something was before it was made bad."""
        return past[tag]

    def attack(self, tag):
        """What the attacker is told now."""
        return code_of(lambda: client("iam", **known[tag]).list_users())


def answer(asked, world=World(), more=More(globals())):
    do = asked["do"]
    if do == "begin":
        return begin()
    if do == "auth":
        return auth(asked["on"])
    if do in ("set", "get"):
        name = ("do_" if do == "set" else "is_") + asked["name"]
        return getattr(world if hasattr(world, name) else more, name)(asked["tag"])
    return getattr(world, do)(asked["tag"])


for line in sys.stdin:
    try:
        answered = {"ok": answer(json.loads(line))}
    except Exception:
        answered = {"error": traceback.format_exc()}
    print(json.dumps(answered), flush=True)
