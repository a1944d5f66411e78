//! A small base of our own for the tests of this folder.

use super::metadata;
use super::model::Model;

/// One of each kind of property that records of 1C have.
pub(super) const METADATA: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" Version="1.0"><edmx:DataServices>
<Schema xmlns="http://schemas.microsoft.com/ado/2009/11/edm" Namespace="StandardODATA">
<EntityType Name="Catalog_Контрагенты"><Key><PropertyRef Name="Ref_Key"/></Key>
<Property Name="Ref_Key" Type="Edm.Guid" Nullable="false"/><Property Name="DataVersion" Type="Edm.String"/>
<Property Name="DeletionMark" Type="Edm.Boolean"/><Property Name="Code" Type="Edm.String"/>
<Property Name="Description" Type="Edm.String"/><Property Name="Parent_Key" Type="Edm.Guid"/></EntityType>
<EntityType Name="Document_Заказ" OpenType="true"><Key><PropertyRef Name="Ref_Key"/></Key>
<Property Name="Ref_Key" Type="Edm.Guid" Nullable="false"/><Property Name="DataVersion" Type="Edm.String"/>
<Property Name="DeletionMark" Type="Edm.Boolean"/><Property Name="Number" Type="Edm.String"/>
<Property Name="Date" Type="Edm.DateTime"/><Property Name="Отгружен" Type="Edm.DateTime"/>
<Property Name="Контрагент_Key" Type="Edm.Guid"/><Property Name="Склад" Type="Edm.String"/>
<Property Name="Сумма" Type="Edm.Double"/><Property Name="Мест" Type="Edm.Int64"/>
<Property Name="Склад_Type" Type="Edm.String"/><Property Name="Подпись_Base64Data" Type="Edm.Binary"/>
<Property Name="Подпись_Type" Type="Edm.String"/>
<Property Name="Товары" Type="Collection(StandardODATA.Document_Заказ_Товары_RowType)"/>
<NavigationProperty Name="Контрагент" Relationship="StandardODATA.Document_Заказ_Контрагент" FromRole="Begin" ToRole="End"/>
</EntityType>
<EntityType Name="InformationRegister_Цены"><Key><PropertyRef Name="Recorder_Key"/></Key>
<Property Name="Recorder_Key" Type="Edm.Guid"/>
<Property Name="RecordSet" Type="Collection(StandardODATA.InformationRegister_Цены_RowType)"/></EntityType>
<EntityType Name="InformationRegister_Цены_RecordType"><Key><PropertyRef Name="Период"/></Key>
<Property Name="Период" Type="Edm.DateTime"/><Property Name="Цена" Type="Edm.Double"/></EntityType>
<EntityType Name="AccumulationRegister_Остатки"><Key><PropertyRef Name="Recorder"/><PropertyRef Name="Recorder_Type"/></Key>
<Property Name="Recorder" Type="Edm.String"/><Property Name="Recorder_Type" Type="Edm.String"/>
<Property Name="RecordSet" Type="Collection(StandardODATA.AccumulationRegister_Остатки_RowType)"/></EntityType>
<EntityType Name="ExchangePlan_Шина"><Key><PropertyRef Name="Ref_Key"/></Key>
<Property Name="Ref_Key" Type="Edm.Guid"/><Property Name="Code" Type="Edm.String"/>
<Property Name="SentNo" Type="Edm.Int64"/><Property Name="ReceivedNo" Type="Edm.Int64"/></EntityType>
<ComplexType Name="Document_Заказ_Товары_RowType"><Property Name="Ref_Key" Type="Edm.Guid"/>
<Property Name="LineNumber" Type="Edm.Int64"/><Property Name="Цена" Type="Edm.Double"/></ComplexType>
<ComplexType Name="InformationRegister_Цены_RowType"><Property Name="Recorder_Key" Type="Edm.Guid"/>
<Property Name="Цена" Type="Edm.Double"/></ComplexType>
<ComplexType Name="AccumulationRegister_Остатки_RowType"><Property Name="Recorder" Type="Edm.String"/>
<Property Name="Recorder_Type" Type="Edm.String"/><Property Name="Period" Type="Edm.DateTime"/>
<Property Name="LineNumber" Type="Edm.Int64"/><Property Name="Количество" Type="Edm.Double"/></ComplexType>
<ComplexType Name="AccumulationRegister_Остатки_Balance"><Property Name="Товар_Key" Type="Edm.Guid"/>
<Property Name="КоличествоBalance" Type="Edm.Double"/></ComplexType>
<Association Name="Document_Заказ_Контрагент"><End Role="Begin" Type="StandardODATA.Document_Заказ" Multiplicity="*"/>
<End Role="End" Type="StandardODATA.Catalog_Контрагенты" Multiplicity="0..1"/></Association>
<EntityContainer Name="EnterpriseV8"><EntitySet Name="Catalog_Контрагенты" EntityType="StandardODATA.Catalog_Контрагенты"/>
<EntitySet Name="Document_Заказ" EntityType="StandardODATA.Document_Заказ"/>
<EntitySet Name="InformationRegister_Цены" EntityType="StandardODATA.InformationRegister_Цены"/>
<EntitySet Name="InformationRegister_Цены_RecordType" EntityType="StandardODATA.InformationRegister_Цены_RecordType"/>
<EntitySet Name="AccumulationRegister_Остатки" EntityType="StandardODATA.AccumulationRegister_Остатки"/>
<EntitySet Name="ExchangePlan_Шина" EntityType="StandardODATA.ExchangePlan_Шина"/>
<FunctionImport Name="Balance" IsBindable="true" ReturnType="Collection(StandardODATA.AccumulationRegister_Остатки_Balance)">
<Parameter Name="bindingParameter" Type="StandardODATA.AccumulationRegister_Остатки"/></FunctionImport>
<FunctionImport Name="SliceLast" ReturnType="Collection(StandardODATA.InformationRegister_Цены_RecordType)">
<Parameter Name="bindingParameter" Type="StandardODATA.InformationRegister_Цены_RecordType"/></FunctionImport>
<FunctionImport Name="Post" IsBindable="true"><Parameter Name="bindingParameter" Type="StandardODATA.Document_Заказ"/></FunctionImport>
</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"#;

pub(super) fn model() -> Model {
    metadata::read(METADATA.as_bytes()).expect("the sample is whole")
}
