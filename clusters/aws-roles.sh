#!/usr/bin/env bash
# bash clusters/aws-roles.sh
#
# Once for clusters/aws.yaml, with the name of a bucket behind it. It makes the role `raysweep-worker` and its instance
# profile, which may read and write that bucket, and lets the head give this role to the workers that it starts. The AWS
# command line must be installed, `aws sts get-caller-identity` must answer with a user who may change IAM, and one
# `ray up clusters/aws.yaml` must have made the head's role `ray-autoscaler-v1`.
#
# Edit:
# - nothing here, but ACCOUNT in clusters/aws.yaml: the number that this prints at its end.
#
# Mind:
# - Ray gives the head the policies AmazonEC2FullAccess and AmazonS3FullAccess. An account that forbids these needs a role
#   of its own for the head too, named by `IamInstanceProfile` of the head in clusters/aws.yaml.
# - The commands may be given again: they leave what is there, and replace the two policies.

set -euo pipefail
bucket=${1:?give the name of the bucket, without s3://}
account=$(aws sts get-caller-identity --query Account --output text)

trust='{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}'
reads_and_writes='{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": "arn:aws:s3:::'$bucket'"},
  {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
   "Resource": "arn:aws:s3:::'$bucket'/*"}]}'
gives_the_role='{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "arn:aws:iam::'$account':role/raysweep-worker",
   "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}}]}'

aws iam get-role --role-name raysweep-worker >/dev/null 2>&1 ||
  aws iam create-role --role-name raysweep-worker --assume-role-policy-document "$trust" >/dev/null
aws iam put-role-policy --role-name raysweep-worker --policy-name bucket --policy-document "$reads_and_writes"
aws iam get-instance-profile --instance-profile-name raysweep-worker >/dev/null 2>&1 || {
  aws iam create-instance-profile --instance-profile-name raysweep-worker >/dev/null
  aws iam add-role-to-instance-profile --instance-profile-name raysweep-worker --role-name raysweep-worker
}
aws iam put-role-policy --role-name ray-autoscaler-v1 --policy-name gives-raysweep-worker \
  --policy-document "$gives_the_role"
echo "ACCOUNT in clusters/aws.yaml: $account"
