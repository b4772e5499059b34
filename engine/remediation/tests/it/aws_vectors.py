"""Writes what the tests of the AWS API are compared with: `aws_requests.json` and `aws_answers.json`.

    python3 -m venv venv && venv/bin/pip install 'moto[all]==5.2.5' boto3==1.44.8
    venv/bin/python aws_vectors.py

The requests are what botocore sends for every operation in the tables with all their parameters, signed at a fixed time
with a key from the vendor's documentation. Nothing is sent: a handler stands where the connection would be. The answers
are what moto, in this process, answers to a walk through the operations, beside what botocore makes of it.
"""

import base64
import datetime
import io
import json
import pathlib
import sys
import urllib.parse
import zipfile

import boto3
import botocore.auth
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "src/aws/tables"))
from tables import OPERATIONS, POLICIES, SUMS  # noqa: E402

REGION, ACCOUNT = "eu-central-1", "123456789012"
NOW = datetime.datetime(2026, 1, 2, 3, 4, 5)
KEY = dict(
    aws_access_key_id="AKIDEXAMPLE",
    aws_secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    aws_session_token="a+token/of==",
)
CONFIG = Config(
    s3={"addressing_style": "path", "payload_signing_enabled": True},
    retries={"max_attempts": 0},
    parameter_validation=True,
)
# What botocore sends about itself.
ITS_OWN = {"user-agent", "amz-sdk-invocation-id", "amz-sdk-request", "content-length", "x-amz-user-agent", "expect"}
OURS = {"host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "authorization"}


class Nothing:
    """An answer without a body."""

    def stream(self, **_):
        return [b""]


class Maker:
    """All parameters of an operation, with values that are hard to write."""

    def __init__(self, service):
        self.service = service
        self.count = 0

    def make(self, shape, name, depth, serialization):
        """What botocore takes, and what we take."""
        self.count += 1
        kind = shape.type_name
        if kind == "structure":
            both = {}
            for member, inner in shape.members.items():
                both[member] = self.make(inner, member, depth + 1, inner.serialization)
            # Sums over the body are ours to make, and botocore is told which.
            theirs = {k: v[0] for k, v in both.items() if k != "ContentMD5"}
            return theirs, {k: v[1] for k, v in both.items() if k not in SUMS}
        if kind == "list":
            two = [self.make(shape.member, name, depth + 1, serialization) for _ in range(2 if depth < 4 else 1)]
            return [one[0] for one in two], [one[1] for one in two]
        if kind == "map":
            two = {f"k{n}": self.make(shape.value, name, depth + 1, serialization) for n in range(2)}
            return {k: v[0] for k, v in two.items()}, {k: v[1] for k, v in two.items()}
        if kind == "timestamp":
            return NOW.replace(tzinfo=datetime.timezone.utc), NOW.isoformat() + "Z"
        if kind == "blob" and name == "Policy":
            return b'{"Version": "2012-10-17"}', '{"Version": "2012-10-17"}'
        if kind == "blob":
            return b"\x00\xff>?" , base64.b64encode(b"\x00\xff>?").decode()
        if kind == "boolean":
            return (self.count % 2 == 0,) * 2
        if kind in ("integer", "long"):
            return (max(self.count, shape.metadata.get("min", 0)),) * 2
        if kind in ("float", "double"):
            return (0.5,) * 2
        if name in ("AccountId", "ExpectedBucketOwner") and self.service in ("s3", "s3control"):
            return (ACCOUNT,) * 2
        if name == "Bucket":
            return ("a-bucket.with.dots",) * 2
        if name == "ChecksumAlgorithm":
            return ("SHA256",) * 2
        if name in POLICIES.get(self.service, ()):
            return ('{"Version": "2012-10-17", "Statement": [{"Sid": "é&<"}]}',) * 2
        if shape.enum:
            return (shape.enum[-1],) * 2
        where = serialization.get("location")
        if where == "header":
            text = "plain header, value"
        elif where == "uri":
            text = "arn:aws:x:eu-central-1:1:y:a b/c~d+é"
        else:
            text = f"ä {self.count}&=+/?#<\">~*'%"
        text += "x" * max(0, shape.metadata.get("min", 0) - len(text))
        return (text,) * 2


def requests():
    botocore.auth.get_current_datetime = lambda remove_tzinfo=True: NOW
    out = []
    session = boto3.session.Session(region_name=REGION, **KEY)
    for service, operations in OPERATIONS.items():
        client = session.client(service, config=CONFIG)
        caught = []

        def before_sign(request, **_):
            for name in list(request.headers.keys()):
                if name.lower() in ITS_OWN:
                    del request.headers[name]

        def before_send(request, **_):
            caught.append(request)
            return AWSResponse(request.url, 500, {}, Nothing())

        client.meta.events.register_first("before-sign.*", before_sign)
        client.meta.events.register_first("before-send.*", before_send)
        for operation in operations:
            model = client.meta.service_model.operation_model(operation)
            maker = Maker(service)
            theirs, ours = maker.make(model.input_shape, "", 0, {}) if model.input_shape else ({}, {})
            caught.clear()
            try:
                getattr(client, xform_name(operation))(**theirs)
            except (ClientError, SyntaxError):
                # The empty answer is a refusal, and no XML for the one that looks into it.
                pass
            request = caught[0]
            url = urllib.parse.urlsplit(request.url)
            headers = {}
            for name, value in request.headers.items():
                value = value.decode() if isinstance(value, bytes) else str(value)
                if name.lower() not in ITS_OWN:
                    headers[name.lower()] = value
            body = request.body or b""
            out.append({
                "operation": f"{service}.{operation}",
                "parameters": ours,
                "method": request.method,
                "host": url.netloc,
                "path": url.path,
                "query": urllib.parse.parse_qsl(url.query, keep_blank_values=True),
                "headers": {k: headers[k] for k in sorted(headers) if k not in OURS},
                "authorization": headers.get("authorization"),
                "body": body if isinstance(body, str) else body.decode(),
            })
    return out


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


class Walk:
    def __init__(self):
        self.out = []
        self.clients = {}
        self.raw = None

    def client(self, service):
        if service not in self.clients:
            key = dict(aws_access_key_id="a", aws_secret_access_key="b")
            client = boto3.client(service, region_name=REGION, config=CONFIG, **key)
            client.meta.events.register("before-parse.*", self.catch)
            self.clients[service] = client
        return self.clients[service]

    def catch(self, response_dict, **_):
        self.raw = response_dict

    def __call__(self, name, keep=True, **parameters):
        service, operation = name.split(".")
        client = self.client(service)
        self.raw = None
        record = {"operation": name}
        try:
            answer = getattr(client, xform_name(operation))(**parameters)
            answer.pop("ResponseMetadata", None)
        except ClientError as error:
            answer = None
            record["refused"] = {"code": error.response["Error"]["Code"], "message": error.response["Error"]["Message"]}
        if answer is not None:
            record["done"] = plain(answer)
        if keep:
            headers = {k.lower(): v for k, v in self.raw["headers"].items()}
            record["status"] = self.raw["status_code"]
            kept = ("content-type", "x-amzn-requestid", "x-amzn-errortype", "x-amz-request-id",
                    "x-amz-transition-default-minimum-object-size")
            record["headers"] = {k: headers[k] for k in kept if k in headers}
            record["body"] = self.raw["body"].decode()
            self.out.append(record)
        return answer or {}


def answers():
    from moto import mock_aws

    with mock_aws():
        walk = Walk()
        iam(walk)
        ec2(walk)
        s3(walk)
        others(walk)
        return walk.out


def iam(walk):
    document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
    trust = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}]})
    boto = walk.client("iam")
    user = {"UserName": "mallory"}
    boto.create_user(**user, Tags=[{"Key": "a&b", "Value": "<c>"}])
    boto.create_role(RoleName="worker", AssumeRolePolicyDocument=trust, Tags=[{"Key": "k", "Value": "v"}])
    boto.create_group(GroupName="admins")
    arn = boto.create_policy(PolicyName="all", PolicyDocument=document)["Policy"]["Arn"]
    boto.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
    key = boto.create_access_key(**user)["AccessKey"]["AccessKeyId"]
    walk("iam.ListAccessKeys", **user)
    walk("iam.UpdateAccessKey", **user, AccessKeyId=key, Status="Inactive")
    walk("iam.GetAccessKeyLastUsed", AccessKeyId=key)
    walk("iam.AttachUserPolicy", **user, PolicyArn=arn)
    walk("iam.ListAttachedUserPolicies", **user)
    walk("iam.DetachUserPolicy", **user, PolicyArn=arn)
    walk("iam.DetachUserPolicy", **user, PolicyArn=arn)
    walk("iam.ListAttachedUserPolicies", **user)
    walk("iam.AttachRolePolicy", RoleName="worker", PolicyArn=arn)
    walk("iam.ListAttachedRolePolicies", RoleName="worker")
    walk("iam.DetachRolePolicy", RoleName="worker", PolicyArn=arn)
    walk("iam.AttachGroupPolicy", GroupName="admins", PolicyArn=arn)
    walk("iam.ListAttachedGroupPolicies", GroupName="admins")
    walk("iam.PutUserPolicy", **user, PolicyName="contain", PolicyDocument=document)
    walk("iam.GetUserPolicy", **user, PolicyName="contain")
    walk("iam.ListUserPolicies", **user)
    walk("iam.DeleteUserPolicy", **user, PolicyName="contain")
    walk("iam.GetUserPolicy", **user, PolicyName="contain")
    walk("iam.PutRolePolicy", RoleName="worker", PolicyName="contain", PolicyDocument=document)
    walk("iam.GetRolePolicy", RoleName="worker", PolicyName="contain")
    walk("iam.PutGroupPolicy", GroupName="admins", PolicyName="contain", PolicyDocument=document)
    walk("iam.GetGroupPolicy", GroupName="admins", PolicyName="contain")
    walk("iam.CreateLoginProfile", **user, Password="aB3$efghijkl", PasswordResetRequired=True)
    walk("iam.GetLoginProfile", **user)
    walk("iam.DeleteLoginProfile", **user)
    walk("iam.DeleteLoginProfile", **user)
    walk("iam.UpdateAssumeRolePolicy", RoleName="worker", PolicyDocument=trust)
    walk("iam.GetRole", RoleName="worker")
    walk("iam.GetUser", **user)
    walk("iam.GetUser", UserName="nobody")
    walk("iam.GetPolicy", PolicyArn=arn)
    walk("iam.ListPolicyVersions", PolicyArn=arn)
    walk("iam.GetPolicyVersion", PolicyArn=arn, VersionId="v1")
    walk("iam.SetDefaultPolicyVersion", PolicyArn=arn, VersionId="v1")
    walk("iam.AddUserToGroup", GroupName="admins", **user)
    walk("iam.GetGroup", GroupName="admins")
    walk("iam.ListGroupsForUser", **user)
    walk("iam.RemoveUserFromGroup", GroupName="admins", **user)
    walk("iam.ListMFADevices", **user)
    walk("iam.ListUserTags", **user)
    walk("iam.ListRoleTags", RoleName="worker")
    walk("sts.GetCallerIdentity")
    walk("sts.AssumeRole", RoleArn=f"arn:aws:iam::{ACCOUNT}:role/worker", RoleSessionName="rem-1")


def ec2(walk):
    boto = walk.client("ec2")
    vpc = boto.describe_vpcs()["Vpcs"][0]["VpcId"]
    walk("ec2.DescribeVpcs")
    group = walk("ec2.CreateSecurityGroup", GroupName="quarantine", Description="nothing in, nothing out", VpcId=vpc)["GroupId"]
    permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "a"}],
                  "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
    rules = walk("ec2.AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[permission])
    walk("ec2.AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[permission])
    walk("ec2.DescribeSecurityGroups", GroupIds=[group])
    walk("ec2.DescribeSecurityGroupRules", Filters=[{"Name": "group-id", "Values": [group]}])
    rule = rules["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    walk("ec2.RevokeSecurityGroupIngress", GroupId=group, SecurityGroupRuleIds=[rule])
    walk("ec2.RevokeSecurityGroupIngress", GroupId=group, IpPermissions=[{**permission, "FromPort": 23, "ToPort": 23}])
    walk("ec2.DescribeSecurityGroups", GroupIds=["sg-00000000000000000"])
    image = boto.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    instance = boto.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    walk("ec2.DescribeInstances", InstanceIds=[instance])
    walk("ec2.DescribeInstanceStatus", InstanceIds=[instance])
    walk("ec2.ModifyInstanceAttribute", InstanceId=instance, Groups=[group])
    walk("ec2.DescribeInstanceAttribute", InstanceId=instance, Attribute="groupSet")
    walk("ec2.DescribeNetworkInterfaces", Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])
    walk("ec2.ModifyInstanceMetadataOptions", InstanceId=instance, HttpTokens="required")
    walk("ec2.StopInstances", InstanceIds=[instance])
    walk("ec2.StartInstances", InstanceIds=[instance])
    try:
        walk("ec2.StopInstances", InstanceIds=[instance], DryRun=True)
    except Exception:
        pass
    profile = walk.client("iam").create_instance_profile(InstanceProfileName="p")["InstanceProfile"]["Arn"]
    walk("ec2.AssociateIamInstanceProfile", InstanceId=instance, IamInstanceProfile={"Arn": profile})
    found = walk("ec2.DescribeIamInstanceProfileAssociations")["IamInstanceProfileAssociations"][0]
    walk("ec2.DisassociateIamInstanceProfile", AssociationId=found["AssociationId"])
    volume = walk("ec2.DescribeVolumes")["Volumes"][0]["VolumeId"]
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "action", "Value": "1"}]}]
    snapshot = walk("ec2.CreateSnapshot", VolumeId=volume, Description="d", TagSpecifications=tags)["SnapshotId"]
    walk("ec2.CreateSnapshots", InstanceSpecification={"InstanceId": instance}, TagSpecifications=tags)
    walk("ec2.DescribeSnapshots", SnapshotIds=[snapshot])
    add = {"Add": [{"Group": "all"}, {"UserId": "111111111111"}]}
    walk("ec2.ModifySnapshotAttribute", SnapshotId=snapshot, Attribute="createVolumePermission", CreateVolumePermission=add)
    walk("ec2.DescribeSnapshotAttribute", SnapshotId=snapshot, Attribute="createVolumePermission")
    mine = boto.create_image(InstanceId=instance, Name="mine")["ImageId"]
    walk("ec2.ModifyImageAttribute", ImageId=mine, LaunchPermission=add)
    walk("ec2.DescribeImageAttribute", ImageId=mine, Attribute="launchPermission")
    walk("ec2.DescribeImages", ImageIds=[mine])
    walk("ec2.CreateTags", Resources=[instance], Tags=[{"Key": "a", "Value": "b"}])
    walk("ec2.DescribeTags", Filters=[{"Name": "resource-id", "Values": [instance]}])
    walk("ec2.EnableEbsEncryptionByDefault")
    walk("ec2.GetEbsEncryptionByDefault")
    walk.client("s3").create_bucket(Bucket="flow-logs", CreateBucketConfiguration={"LocationConstraint": REGION})
    logs = walk("ec2.CreateFlowLogs", ResourceIds=[vpc], ResourceType="VPC", TrafficType="ALL", LogDestinationType="s3",
                LogDestination="arn:aws:s3:::flow-logs", ClientToken="t")
    walk("ec2.DescribeFlowLogs")
    walk("ec2.DeleteFlowLogs", FlowLogIds=logs["FlowLogIds"])
    walk("ec2.DescribeFlowLogs")


def s3(walk):
    bucket = {"Bucket": "a-bucket"}
    walk.client("s3").create_bucket(**bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    flags = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}
    walk("s3.GetPublicAccessBlock", **bucket)
    walk("s3.PutPublicAccessBlock", **bucket, PublicAccessBlockConfiguration=flags)
    walk("s3.GetPublicAccessBlock", **bucket)
    walk("s3.DeletePublicAccessBlock", **bucket)
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
                                                      "Resource": "arn:aws:s3:::a-bucket/*"}]}
    walk("s3.GetBucketPolicy", **bucket)
    walk("s3.PutBucketPolicy", **bucket, Policy=json.dumps(policy))
    walk("s3.GetBucketPolicy", **bucket)
    walk("s3.GetBucketPolicyStatus", **bucket)
    walk("s3.DeleteBucketPolicy", **bucket)
    walk("s3.PutBucketAcl", **bucket, ACL="public-read")
    walk("s3.GetBucketAcl", **bucket)
    walk("s3.GetBucketTagging", **bucket)
    walk.client("s3").put_bucket_tagging(**bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    walk("s3.GetBucketTagging", **bucket)
    walk("s3.GetBucketLocation", **bucket)
    rules = [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 7}}]
    walk("s3.PutBucketLifecycleConfiguration", **bucket, LifecycleConfiguration={"Rules": rules})
    walk("s3.GetBucketLifecycleConfiguration", **bucket)
    walk("s3.DeleteBucketLifecycle", **bucket)
    walk("s3.GetBucketAcl", Bucket="not-there")
    walk("s3control.PutPublicAccessBlock", AccountId=ACCOUNT, PublicAccessBlockConfiguration=flags)
    walk("s3control.GetPublicAccessBlock", AccountId=ACCOUNT)
    walk("s3control.DeletePublicAccessBlock", AccountId=ACCOUNT)
    walk("s3control.GetPublicAccessBlock", AccountId=ACCOUNT)


def others(walk):
    trail = "main"
    walk("cloudtrail.CreateTrail", Name=trail, S3BucketName="a-bucket", IsMultiRegionTrail=True)
    walk("cloudtrail.StartLogging", Name=trail)
    walk("cloudtrail.GetTrailStatus", Name=trail)
    walk("cloudtrail.StopLogging", Name=trail)
    walk("cloudtrail.GetTrailStatus", Name=trail)
    walk("cloudtrail.GetTrailStatus", Name="none")
    walk("cloudtrail.GetTrail", Name=trail)
    walk("cloudtrail.DescribeTrails")
    selectors = [{"ReadWriteType": "All", "IncludeManagementEvents": True, "DataResources": [
        {"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::a-bucket/"]}]}]
    walk("cloudtrail.PutEventSelectors", TrailName=trail, EventSelectors=selectors)
    walk("cloudtrail.GetEventSelectors", TrailName=trail)
    walk("cloudtrail.PutInsightSelectors", TrailName=trail, InsightSelectors=[{"InsightType": "ApiCallRateInsight"}])
    walk("cloudtrail.GetInsightSelectors", TrailName=trail)
    walk("cloudtrail.UpdateTrail", Name=trail, IncludeGlobalServiceEvents=True)

    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("lambda_function.py", "def handler(event, context): pass")
    role = f"arn:aws:iam::{ACCOUNT}:role/worker"
    function = {"FunctionName": "f"}
    walk.client("lambda").create_function(**function, Runtime="python3.12", Role=role, Handler="lambda_function.handler",
                                          Code={"ZipFile": code.getvalue()})
    walk("lambda.PutFunctionConcurrency", **function, ReservedConcurrentExecutions=0)
    walk("lambda.GetFunctionConcurrency", **function)
    walk("lambda.DeleteFunctionConcurrency", **function)
    walk("lambda.GetFunctionConcurrency", **function)
    walk("lambda.GetPolicy", **function)
    walk("lambda.AddPermission", **function, StatementId="open", Action="lambda:InvokeFunction", Principal="*")
    walk("lambda.GetPolicy", **function)
    walk("lambda.RemovePermission", **function, StatementId="open")
    walk("lambda.CreateFunctionUrlConfig", **function, AuthType="NONE")
    walk("lambda.GetFunctionUrlConfig", **function)
    walk("lambda.DeleteFunctionUrlConfig", **function)
    walk("lambda.GetFunctionConfiguration", **function)
    walk("lambda.GetFunctionConfiguration", FunctionName="none")

    key = {"KeyId": walk.client("kms").create_key()["KeyMetadata"]["KeyId"]}
    walk("kms.ScheduleKeyDeletion", **key, PendingWindowInDays=7)
    walk("kms.CancelKeyDeletion", **key)
    walk("kms.DescribeKey", **key)
    walk("kms.EnableKey", **key)
    walk("kms.DisableKey", **key)
    walk("kms.GetKeyPolicy", **key, PolicyName="default")
    walk("kms.ListResourceTags", **key)
    walk("kms.DescribeKey", KeyId="00000000-0000-0000-0000-000000000000")

    rds = walk.client("rds")
    database = {"DBInstanceIdentifier": "d"}
    rds.create_db_instance(**database, DBInstanceClass="db.t3.micro", Engine="mysql", MasterUsername="a",
                           MasterUserPassword="bbbbbbbb", AllocatedStorage=20, PubliclyAccessible=True)
    rds.create_db_snapshot(**database, DBSnapshotIdentifier="s")
    snapshot = {"DBSnapshotIdentifier": "s"}
    walk("rds.ModifyDBSnapshotAttribute", **snapshot, AttributeName="restore", ValuesToAdd=["all", "111111111111"])
    walk("rds.ModifyDBSnapshotAttribute", **snapshot, AttributeName="restore", ValuesToRemove=["all"])
    walk("rds.DescribeDBSnapshotAttributes", **snapshot)
    walk("rds.DescribeDBSnapshotAttributes", DBSnapshotIdentifier="none")
    walk("rds.ModifyDBInstance", **database, PubliclyAccessible=False, ApplyImmediately=True)
    walk("rds.DescribeDBInstances", **database)

    detector = {"DetectorId": walk("guardduty.CreateDetector", Enable=False, ClientToken="t")["DetectorId"]}
    walk("guardduty.UpdateDetector", **detector, Enable=True)
    walk("guardduty.GetDetector", **detector)
    walk("guardduty.ListDetectors")
    walk("guardduty.GetDetector", DetectorId="none")

    recorder = {"name": "default", "roleARN": role, "recordingGroup": {"allSupported": True}}
    walk("config.PutConfigurationRecorder", ConfigurationRecorder=recorder)
    walk("config.PutDeliveryChannel", DeliveryChannel={"name": "default", "s3BucketName": "a-bucket"})
    walk("config.StartConfigurationRecorder", ConfigurationRecorderName="default")
    walk("config.StopConfigurationRecorder", ConfigurationRecorderName="default")
    walk("config.DescribeConfigurationRecorders")
    walk("config.DescribeConfigurationRecorderStatus")
    walk("config.DescribeDeliveryChannels")
    walk("config.StartConfigurationRecorder", ConfigurationRecorderName="none")

    walk.client("events").put_rule(Name="watch", EventPattern='{"source": ["aws.iam"]}')
    walk("events.DisableRule", Name="watch")
    walk("events.EnableRule", Name="watch")
    walk("events.DescribeRule", Name="watch")

    walk.client("secretsmanager").create_secret(Name="secret", SecretString="x", Tags=[{"Key": "a", "Value": "b"}])
    walk("secretsmanager.DeleteSecret", SecretId="secret", RecoveryWindowInDays=7)
    walk("secretsmanager.DescribeSecret", SecretId="secret")
    walk("secretsmanager.RestoreSecret", SecretId="secret")
    walk("secretsmanager.DescribeSecret", SecretId="none")

    walk.client("logs").create_log_group(logGroupName="/a/b")
    walk("logs.PutRetentionPolicy", logGroupName="/a/b", retentionInDays=30)
    walk("logs.DescribeLogGroups", logGroupNamePrefix="/a")

    boto = walk.client("organizations")
    boto.create_organization(FeatureSet="ALL")
    root = boto.list_roots()["Roots"][0]["Id"]
    account = boto.create_account(AccountName="a", Email="a@example.com")["CreateAccountStatus"]["AccountId"]
    unit = boto.create_organizational_unit(ParentId=root, Name="quarantine")["OrganizationalUnit"]["Id"]
    boto.enable_policy_type(RootId=root, PolicyType="SERVICE_CONTROL_POLICY")
    policy = boto.create_policy(Name="deny", Description="d", Type="SERVICE_CONTROL_POLICY", Content=json.dumps(
        {"Version": "2012-10-17", "Statement": []}))["Policy"]["PolicySummary"]["Id"]
    walk("organizations.ListParents", ChildId=account)
    walk("organizations.MoveAccount", AccountId=account, SourceParentId=root, DestinationParentId=unit)
    walk("organizations.ListParents", ChildId=account)
    walk("organizations.AttachPolicy", PolicyId=policy, TargetId=account)
    walk("organizations.ListPoliciesForTarget", TargetId=account, Filter="SERVICE_CONTROL_POLICY")
    walk("organizations.DescribePolicy", PolicyId=policy)
    walk("organizations.DescribeAccount", AccountId=account)
    walk("organizations.DescribeOrganization")

    content = "schemaVersion: '2.2'\ndescription: d\nmainSteps: []\n"
    walk.client("ssm").create_document(Name="document", Content=content, DocumentFormat="YAML", DocumentType="Command")
    walk("ssm.ModifyDocumentPermission", Name="document", PermissionType="Share", AccountIdsToAdd=["all"])
    walk("ssm.DescribeDocumentPermission", Name="document", PermissionType="Share")


def write(name, records):
    lines = ",\n".join(json.dumps(record, ensure_ascii=False, separators=(",", ":")) for record in records)
    (HERE / name).write_text(f"[\n{lines}\n]\n")
    print(name, len(records), (HERE / name).stat().st_size)


if __name__ == "__main__":
    write("aws_answers.json", answers())
    write("aws_requests.json", requests())
