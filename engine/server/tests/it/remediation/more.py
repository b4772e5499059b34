"""Further states of `world.py`: what the rest of the catalogue of actions is about."""

import io
import json
import zipfile

from botocore.exceptions import ClientError


class More:
    """As `World`. What it needs of `world.py` is given to it, as a script has no name to be imported by."""

    def __init__(self, world):
        self.world = world

    def __getattr__(self, name):
        return self.world[name]

    def before(self):
        """What is told of an event of before, by somebody who may."""
        return {"eventTime": self.a_minute_ago(), "userIdentity": self.by_user("admin")}

    # Trails.

    def trail_of(self, tag):
        trail, arn = self.client("cloudtrail"), f"arn:aws:cloudtrail:{self.REGION}:{self.ACCOUNT}:trail/{tag}"
        bucket = f"logs-{tag}"
        self.client("s3").create_bucket(Bucket=bucket)
        self.client("s3").create_bucket(Bucket=f"mallory-{tag}")
        trail.create_trail(Name=tag, S3BucketName=bucket, IncludeGlobalServiceEvents=True, EnableLogFileValidation=True)
        trail.start_logging(Name=tag)
        asked = {"name": tag, "s3BucketName": bucket, "includeGlobalServiceEvents": True, "enableLogFileValidation": True}
        made = {
            "name": tag,
            "s3BucketName": bucket,
            "includeGlobalServiceEvents": True,
            "isMultiRegionTrail": False,
            "trailARN": arn,
            "logFileValidationEnabled": True,
            "isOrganizationTrail": False,
        }
        self.past[tag] = self.event("cloudtrail", "CreateTrail", asked, made, **self.before())
        return trail, arn

    def is_a_trail(self, tag):
        trail = self.client("cloudtrail")
        # The emulator tells of all, whatever is asked.
        found = [one for one in trail.describe_trails()["trailList"] if one["Name"] == tag]
        return [[one["S3BucketName"], trail.get_trail_status(Name=tag)["IsLogging"]] for one in found]

    def do_trail_gone(self, tag):
        trail, arn = self.trail_of(tag)
        trail.delete_trail(Name=tag)
        return self.event("cloudtrail", "DeleteTrail", {"name": arn})

    is_trail_gone = is_a_trail

    def do_trail_moved(self, tag):
        trail, arn = self.trail_of(tag)
        trail.update_trail(Name=tag, S3BucketName=f"mallory-{tag}")
        asked = {"name": tag, "s3BucketName": f"mallory-{tag}"}
        made = {**self.past[tag]["responseElements"], "s3BucketName": f"mallory-{tag}"}
        return self.event("cloudtrail", "UpdateTrail", asked, made)

    is_trail_moved = is_a_trail

    def do_selectors(self, tag):
        trail, arn = self.trail_of(tag)
        good = [{"ReadWriteType": "All", "IncludeManagementEvents": True, "DataResources": [], "ExcludeManagementEventSources": []}]
        bad = [{**good[0], "ReadWriteType": "ReadOnly"}]
        trail.put_event_selectors(TrailName=tag, EventSelectors=good)

        def said(selectors, **more):
            lower = [{name[0].lower() + name[1:]: value for name, value in one.items()} for one in selectors]
            asked = {"trailName": tag, "eventSelectors": lower}
            return self.event("cloudtrail", "PutEventSelectors", asked, {"trailARN": arn, "eventSelectors": lower}, **more)

        self.past[tag] = said(good, **self.before())
        trail.put_event_selectors(TrailName=tag, EventSelectors=bad)
        return said(bad)

    def is_selectors(self, tag):
        found = self.client("cloudtrail").get_event_selectors(TrailName=tag)["EventSelectors"]
        return [one["ReadWriteType"] for one in found]

    # Records of configurations.

    def recorder(self):
        role = f"arn:aws:iam::{self.ACCOUNT}:role/config"
        group = {"allSupported": True, "includeGlobalResourceTypes": True}
        config = self.client("config")
        config.put_configuration_recorder(
            ConfigurationRecorder={"name": "default", "roleARN": role, "recordingGroup": group}
        )
        config.put_delivery_channel(DeliveryChannel={"name": "default", "s3BucketName": "config-logs"})
        config.start_configuration_recorder(ConfigurationRecorderName="default")
        return config, {"configurationRecorder": {"name": "default", "roleARN": role, "recordingGroup": group}}

    def do_recorder(self, tag):
        config, _ = self.recorder()
        config.stop_configuration_recorder(ConfigurationRecorderName="default")
        return self.event("config", "StopConfigurationRecorder", {"configurationRecorderName": "default"})

    def is_recorder(self, tag):
        found = self.client("config").describe_configuration_recorder_status()["ConfigurationRecordersStatus"]
        return [one["recording"] for one in found]

    def do_recorder_gone(self, tag):
        config, asked = self.recorder()
        self.past[tag] = self.event("config", "PutConfigurationRecorder", asked, **self.before())
        config.delete_configuration_recorder(ConfigurationRecorderName="default")
        return self.event("config", "DeleteConfigurationRecorder", {"configurationRecorderName": "default"})

    is_recorder_gone = is_recorder

    # Instances.

    def do_profile(self, tag):
        iam, ec2 = self.client("iam"), self.client("ec2")
        iam.create_role(RoleName=tag, AssumeRolePolicyDocument=json.dumps(self.trust("*")))
        iam.create_instance_profile(InstanceProfileName=tag)
        iam.add_role_to_instance_profile(InstanceProfileName=tag, RoleName=tag)
        self.known[tag] = self.instance(tag)
        ec2.associate_iam_instance_profile(IamInstanceProfile={"Name": tag}, InstanceId=self.known[tag])
        who = self.by_role(tag, self.known[tag])
        return self.event("s3", "ListBuckets", None, userIdentity=who, readOnly=True)

    def is_profile(self, tag):
        question = [{"Name": "instance-id", "Values": [self.known[tag]]}]
        found = self.client("ec2").describe_iam_instance_profile_associations(Filters=question)
        return [one["IamInstanceProfile"]["Arn"].split("/")[-1] for one in found["IamInstanceProfileAssociations"]]

    def do_mining(self, tag):
        self.known[tag] = self.instance(tag)
        items = {"items": [{"instanceId": self.known[tag]}]}
        return self.event("ec2", "RunInstances", {"instanceType": "p3.16xlarge"}, {"reservationId": "r-1", "instancesSet": items})

    def is_mining(self, tag):
        found = self.client("ec2").describe_instances(InstanceIds=[self.known[tag]])
        return found["Reservations"][0]["Instances"][0]["State"]["Name"]

    # Detectors.

    def do_detector(self, tag):
        detector = self.client("guardduty").create_detector(Enable=True)["DetectorId"]
        self.known[tag] = detector
        self.client("guardduty").update_detector(DetectorId=detector, Enable=False)
        return self.event("guardduty", "UpdateDetector", {"detectorId": detector, "enable": False})

    def is_detector(self, tag):
        return self.client("guardduty").get_detector(DetectorId=self.known[tag])["Status"]

    def do_detector_gone(self, tag):
        guard = self.client("guardduty")
        detector = guard.create_detector(Enable=True, FindingPublishingFrequency="FIFTEEN_MINUTES")["DetectorId"]
        asked = {"enable": True, "findingPublishingFrequency": "FIFTEEN_MINUTES"}
        self.past[tag] = self.event(
            "guardduty", "CreateDetector", asked, {"detectorId": detector}, **self.before()
        )
        guard.delete_detector(DetectorId=detector)
        return self.event("guardduty", "DeleteDetector", {"detectorId": detector})

    def is_detector_gone(self, tag):
        guard = self.client("guardduty")
        found = [guard.get_detector(DetectorId=one) for one in guard.list_detectors()["DetectorIds"]]
        return [one["FindingPublishingFrequency"] for one in found if one["FindingPublishingFrequency"] == "FIFTEEN_MINUTES"]

    # Users and roles.

    def do_mfa(self, tag):
        iam = self.client("iam")
        self.user(iam, tag)
        serial = iam.create_virtual_mfa_device(VirtualMFADeviceName=tag)["VirtualMFADevice"]["SerialNumber"]
        iam.enable_mfa_device(UserName=tag, SerialNumber=serial, AuthenticationCode1="123456", AuthenticationCode2="654321")
        return self.event("iam", "EnableMFADevice", {"userName": tag, "serialNumber": serial})

    def is_mfa(self, tag):
        return len(self.client("iam").list_mfa_devices(UserName=tag)["MFADevices"])

    def do_quarantine(self, tag):
        self.user(self.client("iam"), tag)
        return self.event("sts", "GetCallerIdentity", None, userIdentity=self.by_user(tag), readOnly=True)

    def is_quarantine(self, tag):
        found = self.client("iam").list_attached_user_policies(UserName=tag)["AttachedPolicies"]
        return [one["PolicyName"] for one in found]

    def do_inline(self, tag):
        iam = self.client("iam")
        iam.create_role(RoleName=tag, AssumeRolePolicyDocument=json.dumps(self.trust("*")))
        document = json.dumps(self.EVERYTHING)
        iam.put_role_policy(RoleName=tag, PolicyName="access", PolicyDocument=document)
        return self.event("iam", "PutRolePolicy", {"roleName": tag, "policyName": "access", "policyDocument": document})

    def is_inline(self, tag):
        return self.inline("role", tag)

    # Functions.

    def function(self, tag):
        iam, made = self.client("iam"), f"role-{tag}"
        role = iam.create_role(RoleName=made, AssumeRolePolicyDocument=json.dumps(self.trust("*")))["Role"]["Arn"]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as files:
            files.writestr("main.py", "def handler(event, context): pass")
        lambdas = self.client("lambda")
        lambdas.create_function(
            FunctionName=tag, Runtime="python3.12", Role=role, Handler="main.handler", Code={"ZipFile": packed.getvalue()}
        )
        return lambdas

    def do_url(self, tag):
        lambdas = self.function(tag)
        cors = {"AllowOrigins": ["*"]}
        made = lambdas.create_function_url_config(FunctionName=tag, AuthType="NONE", Cors=cors)["FunctionUrl"]
        asked = {"functionName": tag, "authType": "NONE", "cors": {"allowOrigins": ["*"]}}
        return self.event("lambda", "CreateFunctionUrlConfig", asked, {"functionUrl": made, "authType": "NONE"})

    def is_url(self, tag):
        try:
            found = self.client("lambda").get_function_url_config(FunctionName=tag)
            return [found["AuthType"], found["Cors"]]
        except ClientError as fault:
            return fault.response["Error"]["Code"]

    def do_permission(self, tag):
        lambdas = self.function(tag)
        asked = {"functionName": tag, "statementId": "open", "action": "lambda:InvokeFunction", "principal": "*"}
        statement = lambdas.add_permission(
            FunctionName=tag, StatementId="open", Action="lambda:InvokeFunction", Principal="*"
        )["Statement"]
        return self.event("lambda", "AddPermission20150331v2", asked, {"statement": statement})

    def is_permission(self, tag):
        try:
            policy = json.loads(self.client("lambda").get_policy(FunctionName=tag)["Policy"])
            return [one["Sid"] for one in policy["Statement"]]
        except ClientError:
            return []

    # The rest.

    def do_retention(self, tag):
        logs = self.client("logs")
        logs.create_log_group(logGroupName=tag)
        logs.put_retention_policy(logGroupName=tag, retentionInDays=365)
        asked = {"logGroupName": tag, "retentionInDays": 365}
        self.past[tag] = self.event("logs", "PutRetentionPolicy", asked, **self.before())
        logs.put_retention_policy(logGroupName=tag, retentionInDays=1)
        return self.event("logs", "PutRetentionPolicy", {"logGroupName": tag, "retentionInDays": 1})

    def is_retention(self, tag):
        found = self.client("logs").describe_log_groups(logGroupNamePrefix=tag)["logGroups"]
        return [one.get("retentionInDays") for one in found]

    def do_account(self, tag):
        units = self.client("organizations")
        units.create_organization(FeatureSet="ALL")
        root = units.list_roots()["Roots"][0]["Id"]
        unit = units.create_organizational_unit(ParentId=root, Name="quarantine")["OrganizationalUnit"]["Id"]
        made = units.create_account(AccountName=tag, Email=f"{tag}@example.com")["CreateAccountStatus"]["AccountId"]
        self.known[tag] = made
        told = self.event("iam", "CreateUser", {"userName": "x", "unit": unit})
        told["recipientAccountId"] = told["userIdentity"]["accountId"] = made
        return told

    def is_account(self, tag):
        parent = self.client("organizations").list_parents(ChildId=self.known[tag])["Parents"][0]
        return parent["Type"]

    def do_database(self, tag):
        rds = self.client("rds")
        rds.create_db_instance(
            DBInstanceIdentifier=tag,
            Engine="postgres",
            DBInstanceClass="db.t3.micro",
            AllocatedStorage=20,
            MasterUsername="somebody",
            MasterUserPassword="a password of a test",
            PubliclyAccessible=True,
        )
        asked = {"dBInstanceIdentifier": tag, "publiclyAccessible": True, "applyImmediately": True}
        return self.event("rds", "ModifyDBInstance", asked, {"publiclyAccessible": False})

    def is_database(self, tag):
        return self.client("rds").describe_db_instances(DBInstanceIdentifier=tag)["DBInstances"][0]["PubliclyAccessible"]

    def do_account_block(self, tag):
        host = f"{self.ACCOUNT}.s3-control.{self.REGION}.amazonaws.com"
        return self.event("s3", "DeleteAccountPublicAccessBlock", {"publicAccessBlock": "", "Host": host})

    def is_account_block(self, tag):
        control = self.client("s3control")

        def here(request, **_):
            # The client puts the account before the host, and nobody has that name here.
            request.url = request.url.replace(f"//{self.ACCOUNT}.", "//")

        control.meta.events.register("before-sign.s3-control", here)
        try:
            found = control.get_public_access_block(AccountId=self.ACCOUNT)
            return found["PublicAccessBlockConfiguration"]
        except ClientError as fault:
            return fault.response["Error"]["Code"]

    def do_acl(self, tag):
        s3 = self.client("s3")
        s3.create_bucket(Bucket=tag)
        s3.put_bucket_acl(Bucket=tag, ACL="public-read")
        return self.event("s3", "PutBucketAcl", {"bucketName": tag, "x-amz-acl": ["public-read"], "acl": ""})

    def is_acl(self, tag):
        grants = self.client("s3").get_bucket_acl(Bucket=tag)["Grants"]
        return sorted(f"{one['Grantee'].get('URI', 'owner').split('/')[-1]} {one['Permission']}" for one in grants)

    def do_document(self, tag):
        ssm = self.client("ssm")
        content = {"schemaVersion": "2.2", "description": "patches", "mainSteps": []}
        ssm.create_document(Name=tag, Content=json.dumps(content), DocumentType="Command")
        ssm.modify_document_permission(Name=tag, PermissionType="Share", AccountIdsToAdd=["all"])
        asked = {"name": tag, "permissionType": "Share", "accountIdsToAdd": ["all"]}
        return self.event("ssm", "ModifyDocumentPermission", asked, {})

    def is_document(self, tag):
        return self.client("ssm").describe_document_permission(Name=tag, PermissionType="Share")["AccountIds"]
