"""Writes the tables of AWS operations beside it, from the API models that come with botocore.

    python3 -m venv venv && venv/bin/pip install boto3==1.44.8
    venv/bin/python tables.py

An operation is added by a line below: a name, what it is allowed on (ARN templates; `*` where the API has no ARNs for
it), and what else it needs. The form of the tables is described in `../table.rs`.
"""

import json
import pathlib

from botocore.loaders import Loader

HERE = pathlib.Path(__file__).parent
LOADER = Loader()

USER = ["iam::{account}:user/{UserName}", "iam::{account}:user/*/{UserName}"]
ROLE = ["iam::{account}:role/{RoleName}", "iam::{account}:role/*/{RoleName}"]
GROUP = ["iam::{account}:group/{GroupName}", "iam::{account}:group/*/{GroupName}"]
POLICY = ["{PolicyArn}"]
EC2 = "ec2:{region}:{account}:"
SECURITY_GROUP = [EC2 + "security-group/{GroupId}", EC2 + "security-group-rule/*"]
BUCKET = ["s3:::{Bucket}"]
TRAIL = ["cloudtrail:{region}:{account}:trail/{Name}"]
TRAIL_NAMED = ["cloudtrail:{region}:{account}:trail/{TrailName}"]
FUNCTION = ["lambda:{region}:{account}:function:{FunctionName}"]
KEY = ["kms:{region}:{account}:key/{KeyId}"]
SECRET = ["secretsmanager:{region}:{account}:secret:{SecretId}-??????"]
RULE = ["events:{region}:{account}:rule/{Name}", "events:{region}:{account}:rule/*/{Name}"]
LOGS = ["logs:{region}:{account}:log-group:{logGroupName}:*"]
DETECTOR = ["guardduty:{region}:{account}:detector/{DetectorId}"]
ANY = ["*"]

# Service: the model's name, then operation -> (is it a read, ARN templates, other actions that it needs on anything).
R, W = True, False
OPERATIONS = {
    "iam": {
        "UpdateAccessKey": (W, USER), "DeleteAccessKey": (W, USER), "ListAccessKeys": (R, USER), "GetAccessKeyLastUsed": (R, ANY),
        "AttachUserPolicy": (W, USER), "DetachUserPolicy": (W, USER), "ListAttachedUserPolicies": (R, USER),
        "AttachRolePolicy": (W, ROLE), "DetachRolePolicy": (W, ROLE), "ListAttachedRolePolicies": (R, ROLE),
        "AttachGroupPolicy": (W, GROUP), "DetachGroupPolicy": (W, GROUP), "ListAttachedGroupPolicies": (R, GROUP),
        "PutUserPolicy": (W, USER), "DeleteUserPolicy": (W, USER), "GetUserPolicy": (R, USER),
        "PutRolePolicy": (W, ROLE), "DeleteRolePolicy": (W, ROLE), "GetRolePolicy": (R, ROLE),
        "PutGroupPolicy": (W, GROUP), "DeleteGroupPolicy": (W, GROUP), "GetGroupPolicy": (R, GROUP),
        "ListUserPolicies": (R, USER), "ListRolePolicies": (R, ROLE), "ListGroupPolicies": (R, GROUP),
        "CreateLoginProfile": (W, USER), "DeleteLoginProfile": (W, USER), "GetLoginProfile": (R, USER),
        "UpdateAssumeRolePolicy": (W, ROLE), "GetRole": (R, ROLE), "GetUser": (R, USER), "GetGroup": (R, GROUP),
        "SetDefaultPolicyVersion": (W, POLICY), "GetPolicy": (R, POLICY), "GetPolicyVersion": (R, POLICY),
        "ListPolicyVersions": (R, POLICY),
        "AddUserToGroup": (W, GROUP), "RemoveUserFromGroup": (W, GROUP), "ListGroupsForUser": (R, USER),
        "DeactivateMFADevice": (W, USER), "ListMFADevices": (R, USER),
        "PutUserPermissionsBoundary": (W, USER), "DeleteUserPermissionsBoundary": (W, USER),
        "PutRolePermissionsBoundary": (W, ROLE), "DeleteRolePermissionsBoundary": (W, ROLE),
        "ListUserTags": (R, USER), "ListRoleTags": (R, ROLE),
    },
    "sts": {
        "AssumeRole": (W, ["{RoleArn}"]), "AssumeRoleWithWebIdentity": (W, ["{RoleArn}"]), "GetCallerIdentity": (R, ANY),
    },
    "ec2": {
        "AuthorizeSecurityGroupIngress": (W, SECURITY_GROUP), "RevokeSecurityGroupIngress": (W, SECURITY_GROUP),
        "AuthorizeSecurityGroupEgress": (W, SECURITY_GROUP), "RevokeSecurityGroupEgress": (W, SECURITY_GROUP),
        "DescribeSecurityGroups": (R, ANY), "DescribeSecurityGroupRules": (R, ANY),
        "CreateSecurityGroup": (W, [EC2 + "security-group/*", EC2 + "vpc/{VpcId}"]),
        "DeleteSecurityGroup": (W, [EC2 + "security-group/{GroupId}"]),
        "CreateSnapshot": (W, ["ec2:{region}::snapshot/*", EC2 + "volume/{VolumeId}"]),
        "CreateSnapshots": (W, ["ec2:{region}::snapshot/*", EC2 + "instance/{InstanceSpecification.InstanceId}", EC2 + "volume/*"]),
        "DeleteSnapshot": (W, ["ec2:{region}::snapshot/{SnapshotId}"]),
        "DescribeSnapshots": (R, ANY), "DescribeVolumes": (R, ANY),
        "CreateTags": (W, ANY), "DeleteTags": (W, ANY), "DescribeTags": (R, ANY),
        "ModifyInstanceAttribute": (W, [EC2 + "instance/{InstanceId}", EC2 + "security-group/*", EC2 + "volume/*"]),
        "DescribeInstanceAttribute": (R, [EC2 + "instance/{InstanceId}"]), "DescribeInstances": (R, ANY),
        "DescribeInstanceStatus": (R, ANY),
        "ModifyNetworkInterfaceAttribute": (W, [EC2 + "network-interface/{NetworkInterfaceId}", EC2 + "security-group/*", EC2 + "instance/*"]),
        "DescribeNetworkInterfaces": (R, ANY),
        "AssociateIamInstanceProfile": (W, [EC2 + "instance/{InstanceId}"], ["iam:PassRole"]),
        "DisassociateIamInstanceProfile": (W, [EC2 + "instance/*"]),
        "DescribeIamInstanceProfileAssociations": (R, ANY),
        "StopInstances": (W, [EC2 + "instance/{InstanceIds}"]), "StartInstances": (W, [EC2 + "instance/{InstanceIds}"]),
        "ModifyImageAttribute": (W, ["ec2:{region}::image/{ImageId}"]), "DescribeImageAttribute": (R, ["ec2:{region}::image/{ImageId}"]),
        "DescribeImages": (R, ANY),
        "ModifySnapshotAttribute": (W, ["ec2:{region}::snapshot/{SnapshotId}"]),
        "DescribeSnapshotAttribute": (R, ["ec2:{region}::snapshot/{SnapshotId}"]),
        "CreateFlowLogs": (W, ANY, ["iam:PassRole", "logs:CreateLogDelivery", "logs:DeleteLogDelivery"]),
        "DeleteFlowLogs": (W, [EC2 + "vpc-flow-log/{FlowLogIds}"], ["logs:DeleteLogDelivery"]), "DescribeFlowLogs": (R, ANY),
        "ModifyInstanceMetadataOptions": (W, [EC2 + "instance/{InstanceId}"]),
        "EnableEbsEncryptionByDefault": (W, ANY), "DisableEbsEncryptionByDefault": (W, ANY),
        "GetEbsEncryptionByDefault": (R, ANY), "DescribeVpcs": (R, ANY),
    },
    "s3": {
        "GetPublicAccessBlock": (R, BUCKET), "PutPublicAccessBlock": (W, BUCKET), "DeletePublicAccessBlock": (W, BUCKET),
        "GetBucketPolicy": (R, BUCKET), "PutBucketPolicy": (W, BUCKET), "DeleteBucketPolicy": (W, BUCKET),
        "GetBucketPolicyStatus": (R, BUCKET), "GetBucketAcl": (R, BUCKET), "PutBucketAcl": (W, BUCKET),
        "GetBucketTagging": (R, BUCKET), "GetBucketLocation": (R, BUCKET), "GetBucketOwnershipControls": (R, BUCKET),
        "GetBucketLifecycleConfiguration": (R, BUCKET), "PutBucketLifecycleConfiguration": (W, BUCKET),
        "DeleteBucketLifecycle": (W, BUCKET),
    },
    "s3control": {
        "GetPublicAccessBlock": (R, ANY), "PutPublicAccessBlock": (W, ANY), "DeletePublicAccessBlock": (W, ANY),
    },
    "cloudtrail": {
        "StartLogging": (W, TRAIL), "StopLogging": (W, TRAIL), "GetTrailStatus": (R, TRAIL), "GetTrail": (R, TRAIL),
        "DescribeTrails": (R, ANY), "ListTags": (R, ANY),
        "GetEventSelectors": (R, TRAIL_NAMED), "PutEventSelectors": (W, TRAIL_NAMED),
        "GetInsightSelectors": (R, TRAIL_NAMED), "PutInsightSelectors": (W, TRAIL_NAMED),
        "UpdateTrail": (W, TRAIL, ["iam:PassRole"]), "CreateTrail": (W, TRAIL, ["cloudtrail:AddTags", "iam:PassRole"]),
        "DeleteTrail": (W, TRAIL), "AddTags": (W, ["{ResourceId}"]),
    },
    "lambda": {
        "PutFunctionConcurrency": (W, FUNCTION), "GetFunctionConcurrency": (R, FUNCTION), "DeleteFunctionConcurrency": (W, FUNCTION),
        "AddPermission": (W, FUNCTION), "RemovePermission": (W, FUNCTION), "GetPolicy": (R, FUNCTION),
        "CreateFunctionUrlConfig": (W, FUNCTION), "GetFunctionUrlConfig": (R, FUNCTION), "DeleteFunctionUrlConfig": (W, FUNCTION),
        "UpdateFunctionUrlConfig": (W, FUNCTION), "GetFunctionConfiguration": (R, FUNCTION), "ListTags": (R, ["{Resource}"]),
    },
    "kms": {
        "CancelKeyDeletion": (W, KEY), "EnableKey": (W, KEY), "DisableKey": (W, KEY), "DescribeKey": (R, KEY),
        "ScheduleKeyDeletion": (W, KEY), "ListResourceTags": (R, KEY), "GetKeyPolicy": (R, KEY), "PutKeyPolicy": (W, KEY),
    },
    "rds": {
        "ModifyDBSnapshotAttribute": (W, ["rds:{region}:{account}:snapshot:{DBSnapshotIdentifier}"]),
        "DescribeDBSnapshotAttributes": (R, ["rds:{region}:{account}:snapshot:{DBSnapshotIdentifier}"]),
        "ModifyDBClusterSnapshotAttribute": (W, ["rds:{region}:{account}:cluster-snapshot:{DBClusterSnapshotIdentifier}"]),
        "DescribeDBClusterSnapshotAttributes": (R, ["rds:{region}:{account}:cluster-snapshot:{DBClusterSnapshotIdentifier}"]),
        "ModifyDBInstance": (W, ANY), "DescribeDBInstances": (R, ["rds:{region}:{account}:db:{DBInstanceIdentifier}"]),
        "ListTagsForResource": (R, ["{ResourceName}"]),
    },
    "guardduty": {
        "CreateDetector": (W, ANY, ["iam:CreateServiceLinkedRole"]), "UpdateDetector": (W, DETECTOR), "GetDetector": (R, DETECTOR),
        "ListDetectors": (R, ANY), "DeleteDetector": (W, DETECTOR),
    },
    "config": {
        "StartConfigurationRecorder": (W, ANY), "StopConfigurationRecorder": (W, ANY),
        "PutConfigurationRecorder": (W, ANY, ["iam:PassRole"]), "DeleteConfigurationRecorder": (W, ANY),
        "PutDeliveryChannel": (W, ANY), "DeleteDeliveryChannel": (W, ANY),
        "DescribeConfigurationRecorders": (R, ANY), "DescribeConfigurationRecorderStatus": (R, ANY),
        "DescribeDeliveryChannels": (R, ANY),
    },
    "events": {
        "EnableRule": (W, RULE), "DisableRule": (W, RULE), "DescribeRule": (R, RULE), "ListTargetsByRule": (R, ["events:{region}:{account}:rule/{Rule}"]),
    },
    "secretsmanager": {
        "RestoreSecret": (W, SECRET), "DescribeSecret": (R, SECRET), "DeleteSecret": (W, SECRET),
    },
    "logs": {
        "PutRetentionPolicy": (W, LOGS), "DeleteRetentionPolicy": (W, LOGS), "DescribeLogGroups": (R, ANY),
    },
    "organizations": {
        "MoveAccount": (W, ANY), "ListParents": (R, ANY), "AttachPolicy": (W, ANY), "DetachPolicy": (W, ANY),
        "ListPoliciesForTarget": (R, ANY), "DescribeAccount": (R, ANY), "DescribeOrganization": (R, ANY),
        "DescribePolicy": (R, ANY),
    },
    "ssm": {
        "ModifyDocumentPermission": (W, ["ssm:{region}:{account}:document/{Name}"]),
        "DescribeDocumentPermission": (R, ["ssm:{region}:{account}:document/{Name}"]),
    },
}

# Where the action of IAM is not called like the operation.
ACTIONS = {
    "s3.GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3.PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3.DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3.GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3.PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3.DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3control.GetPublicAccessBlock": "s3:GetAccountPublicAccessBlock",
    "s3control.PutPublicAccessBlock": "s3:PutAccountPublicAccessBlock",
    "s3control.DeletePublicAccessBlock": "s3:PutAccountPublicAccessBlock",
}

# Texts that hold a JSON document.
POLICIES = {
    "iam": {"PolicyDocument", "AssumeRolePolicyDocument", "Document"},
    "sts": {"Policy"},
    "s3": {"Policy"},
    "lambda": {"Policy", "Statement"},
    "kms": {"Policy"},
    "organizations": {"Content"},
}

# Answers in pages of which the models do not say so.
PAGES = {
    "ssm.DescribeDocumentPermission": {
        "input_token": "NextToken", "output_token": "NextToken", "result_key": ["AccountIds", "AccountSharingInfoList"],
    },
}

# Parameters of sums over the body, which the encoder makes itself.
SUMS = {"ContentMD5", "ChecksumAlgorithm"}

SCALARS = {
    "string": "text", "character": "text", "boolean": "flag", "integer": "whole", "long": "whole",
    "float": "real", "double": "real", "timestamp": "time", "blob": "blob",
}


class Table:
    def __init__(self, service):
        self.service = service
        self.model = LOADER.load_service_model(service, "service-2")
        try:
            self.pages = LOADER.load_service_model(service, "paginators-1")["pagination"]
        except Exception:
            self.pages = {}
        self.shapes = self.model["shapes"]
        self.lines = []
        self.wanted = []

    def kind(self, reference, name=""):
        shape = self.shapes[reference["shape"]]
        if shape["type"] in ("structure", "list", "map"):
            if reference["shape"] not in self.wanted:
                self.wanted.append(reference["shape"])
            return reference["shape"]
        if shape["type"] == "string" and name in POLICIES.get(self.service, ()):
            return "policy"
        if shape["type"] == "blob" and name == "Policy":
            return "policy"
        return SCALARS[shape["type"]]

    def member(self, owner, name, reference):
        shape = self.shapes[reference["shape"]]
        words = [name, self.kind(reference, name)]
        wire = reference.get("locationName")
        if wire and wire != name:
            words.append(f"wire={wire}")
        if reference.get("queryName"):
            words.append(f"query={reference['queryName']}")
        if reference.get("location"):
            words.append({"uri": "in-path", "querystring": "in-query", "header": "in-header"}[reference["location"]])
        if owner.get("payload") == name:
            words.append("payload")
        if name in owner.get("required", ()):
            words.append("required")
        # Some models lack the mark.
        if reference.get("idempotencyToken") or name == "ClientToken":
            words.append("token")
        if reference.get("flattened") or shape.get("flattened"):
            words.append("flat")
        if reference.get("xmlAttribute"):
            words.append("attribute")
        space = reference.get("xmlNamespace") or (shape.get("xmlNamespace") if shape["type"] == "structure" else None)
        if space:
            space = space if isinstance(space, dict) else {"uri": space}
            words.append("xmlns" + (":" + space["prefix"] if space.get("prefix") else "") + "=" + space["uri"])
        return "  " + " ".join(words)

    def shape(self, name):
        shape = self.shapes[name]
        if shape["type"] == "structure":
            self.lines.append(f"struct {name}")
            for member, reference in shape["members"].items():
                # What is deprecated is there all the same, and is lost when it is read and put back without it.
                if member not in SUMS:
                    self.lines.append(self.member(shape, member, reference))
        elif shape["type"] == "list":
            member = shape["member"]
            words = ["list", name, self.kind(member)]
            if member.get("locationName"):
                words.append(f"item={member['locationName']}")
            self.lines.append(" ".join(words))
        else:
            self.lines.append(f"map {name} {self.kind(shape['value'])}")

    def operation(self, name, is_read, arns, also=()):
        operation = self.model["operations"][name]
        words = ["operation", name, "read" if is_read else "write", operation["http"]["method"], operation["http"]["requestUri"]]
        if "input" in operation and self.shapes[operation["input"]["shape"]]["members"]:
            words.append("input=" + self.kind(operation["input"]))
            if operation["input"].get("locationName"):
                words.append("root=" + operation["input"]["locationName"])
                words.append("rootns=" + operation["input"]["xmlNamespace"]["uri"])
        if "output" in operation and self.shapes[operation["output"]["shape"]]["members"]:
            words.append("output=" + self.kind(operation["output"]))
            if operation["output"].get("resultWrapper"):
                words.append("wrapper=" + operation["output"]["resultWrapper"])
        if operation.get("httpChecksum", {}).get("requestChecksumRequired") or operation.get("httpChecksumRequired"):
            words.append("checksum")
        if operation.get("auth") == ["smithy.api#noAuth"] or operation.get("authtype") == "none":
            words.append("unsigned")
        prefix = self.model["metadata"].get("signingName") or self.model["metadata"]["endpointPrefix"]
        words.append("action=" + ACTIONS.get(f"{self.service}.{name}", f"{prefix}:{name}"))
        words += ["arn=" + (arn if arn == "*" or arn.startswith("{") else "arn:{partition}:" + arn) for arn in arns]
        words += [f"also={action}" for action in also]
        page = self.pages.get(name) or PAGES.get(f"{self.service}.{name}")
        if page:
            inward, outward = page["input_token"], page["output_token"]
            results = page["result_key"] if isinstance(page["result_key"], list) else [page["result_key"]]
            assert isinstance(inward, str) and isinstance(outward, str), (name, page)
            words += [f"page={inward}:{outward}:{','.join(results)}"]
        self.lines.append(" ".join(words))

    def write(self):
        meta = self.model["metadata"]
        known = {"query", "ec2", "json", "rest-json", "rest-xml"}
        protocol = next(p for p in meta.get("protocols", [meta["protocol"]]) if p in known)
        words = ["service", self.service, protocol, meta["apiVersion"], "signing=" + (meta.get("signingName") or meta["endpointPrefix"])]
        if protocol == "json":
            words += ["json=" + meta["jsonVersion"], "target=" + meta["targetPrefix"]]
        if meta.get("xmlNamespace") :
            space = meta["xmlNamespace"]
            words += ["xmlns=" + (space if isinstance(space, str) else space["uri"])]
        self.lines = [f"# Made by tables.py from the API model of botocore (Apache-2.0). See ../table.rs.", " ".join(words)]
        for name, what in OPERATIONS[self.service].items():
            self.operation(name, *what)
        done = 0
        while done < len(self.wanted):
            self.shape(self.wanted[done])
            done += 1
        (HERE / f"{self.service}.txt").write_text("\n".join(self.lines) + "\n")


if __name__ == "__main__":
    for service in OPERATIONS:
        Table(service).write()
    print(sum(len(all) for all in OPERATIONS.values()), "operations")
