//! Ways to become more than one is: sets of actions that together are as good as being an administrator.
//!
//! They are known from public work on privilege escalation in AWS. A way is open when all of its actions are allowed; the
//! first of the list that is open is named, and so the shortest and surest come first.

/// A way, and the actions that it needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) actions: &'static [&'static str],
}

const fn way(name: &'static str, actions: &'static [&'static str]) -> Way {
    Way { name, actions }
}

/// All ways.
pub(crate) const WAYS: [Way; 32] = [
    way("attach-policy-to-user", &["iam:AttachUserPolicy"]),
    way("attach-policy-to-group", &["iam:AttachGroupPolicy"]),
    way("attach-policy-to-role", &["iam:AttachRolePolicy"]),
    way("put-policy-of-user", &["iam:PutUserPolicy"]),
    way("put-policy-of-group", &["iam:PutGroupPolicy"]),
    way("put-policy-of-role", &["iam:PutRolePolicy"]),
    way("new-version-of-policy", &["iam:CreatePolicyVersion"]),
    way("older-version-of-policy", &["iam:SetDefaultPolicyVersion"]),
    way(
        "remove-boundary-of-user",
        &["iam:DeleteUserPermissionsBoundary"],
    ),
    way(
        "remove-boundary-of-role",
        &["iam:DeleteRolePermissionsBoundary"],
    ),
    way("trust-oneself", &["iam:UpdateAssumeRolePolicy"]),
    way("access-key-of-another", &["iam:CreateAccessKey"]),
    way("password-of-another", &["iam:CreateLoginProfile"]),
    way("new-password-of-another", &["iam:UpdateLoginProfile"]),
    way("join-group", &["iam:AddUserToGroup"]),
    way(
        "device-of-another",
        &["iam:ResyncMFADevice", "iam:DeactivateMFADevice"],
    ),
    way("assume-any-role", &["sts:AssumeRole"]),
    way(
        "pass-role-to-function",
        &[
            "iam:PassRole",
            "lambda:CreateFunction",
            "lambda:InvokeFunction",
        ],
    ),
    way(
        "pass-role-to-function-by-events",
        &[
            "iam:PassRole",
            "lambda:CreateFunction",
            "lambda:CreateEventSourceMapping",
        ],
    ),
    way(
        "pass-role-to-function-by-permission",
        &[
            "iam:PassRole",
            "lambda:CreateFunction",
            "lambda:AddPermission",
        ],
    ),
    way("code-of-function", &["lambda:UpdateFunctionCode"]),
    way(
        "layers-of-function",
        &[
            "lambda:UpdateFunctionConfiguration",
            "lambda:InvokeFunction",
        ],
    ),
    way(
        "pass-role-to-instance",
        &["iam:PassRole", "ec2:RunInstances"],
    ),
    way(
        "pass-role-to-stack",
        &["iam:PassRole", "cloudformation:CreateStack"],
    ),
    way(
        "pass-role-to-task",
        &["iam:PassRole", "ecs:RegisterTaskDefinition", "ecs:RunTask"],
    ),
    way(
        "pass-role-to-build",
        &[
            "iam:PassRole",
            "codebuild:CreateProject",
            "codebuild:StartBuild",
        ],
    ),
    way(
        "pass-role-to-notebook",
        &[
            "iam:PassRole",
            "sagemaker:CreateNotebookInstance",
            "sagemaker:CreatePresignedNotebookInstanceUrl",
        ],
    ),
    way(
        "pass-role-to-endpoint",
        &["iam:PassRole", "glue:CreateDevEndpoint"],
    ),
    way("key-of-endpoint", &["glue:UpdateDevEndpoint"]),
    way(
        "pass-role-to-pipeline",
        &[
            "iam:PassRole",
            "datapipeline:CreatePipeline",
            "datapipeline:PutPipelineDefinition",
        ],
    ),
    way("command-on-instances", &["ssm:SendCommand"]),
    way("session-on-instances", &["ssm:StartSession"]),
];
